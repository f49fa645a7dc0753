"""What every client here has in common: sessions that follow nothing by themselves, and addresses
that every parser reads alike."""

from __future__ import annotations

import re
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

USER_AGENT = "zoom-rtms-recall"
# Bodies are read from urllib3 directly, which has errors of its own; a host's name may be none
# (UnicodeError).
NETWORK_ERRORS = (requests.RequestException, HTTPError, OSError, UnicodeError)


class Session(requests.Session):
    """Keeps no cookies and leaves redirects to its user. The library would turn a redirected POST
    into a GET, and looks at where a redirect leads, and at all of its body, even when told not to
    follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = USER_AGENT

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; None where it is no plain URL. What parsers read differently (a
    backslash, a user before the host) must not lead one of them to another host."""
    if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port


def join(url: str, location: str) -> str:
    """Where a redirect leads; empty where that is no URL. Look at its `origin` before following."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def in_words(error: Exception) -> str:
    """An error of the network in a few words: which kind, without URLs and addresses."""
    if isinstance(error, requests.ConnectTimeout):
        return "it could not be reached in time"
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not connect"
    if isinstance(error, requests.ConnectionError | HTTPError):
        return "the connection failed or was reset"
    return f"the exchange broke off ({type(error).__name__})"
