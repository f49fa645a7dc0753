"""What every client here has in common: sessions that follow nothing by themselves, and addresses
that every parser reads alike."""

from __future__ import annotations

import re
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests import exceptions
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError

from rtms.recall import proxies

USER_AGENT = "zoom-rtms-recall"
# Bodies are read from urllib3 directly, which has errors of its own; a host's name may be none
# (UnicodeError).
NETWORK_ERRORS = (requests.RequestException, HTTPError, OSError, UnicodeError)
# What the library says before it has sent anything.
_NEVER_SENT = (
    exceptions.InvalidSchema,
    exceptions.InvalidURL,  # InvalidProxyURL, too
    exceptions.MissingSchema,
    exceptions.InvalidHeader,
    LocationValueError,
    UnicodeError,
)


class CannotBeSent(requests.RequestException):
    """A request that was not sent, and would not be however often it is tried. The message says
    why and what to do, without any address."""


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

    def request(  # type: ignore[override]
        self, method: str, url: str, **options: Any
    ) -> requests.Response:
        """Send a request.

        Raises:
            CannotBeSent: with this address, and the proxies and certificates that the environment
                names, no request can be made.
            one of `NETWORK_ERRORS`: there was no answer.
        """
        settings = self.merge_environment_settings(url, {}, None, None, None)
        why = proxies.complaint(url, settings["proxies"])
        if why is None:
            try:
                return super().request(method, url, **options)
            except _NEVER_SENT:
                why = "its address, or a header, is none that can be sent"
            except OSError as error:
                if type(error) is not OSError:  # the library's own are of kinds derived from it
                    raise
                why = (
                    "there is no file of certificates where REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE "
                    "says: correct it, or unset it"
                )
        raise CannotBeSent(why)  # outside of the handlers: an error caught there may hold a link


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


def network_error_text(error: Exception) -> str:
    """Return an error of the network in a few words: which kind, without URLs and addresses."""
    if isinstance(error, CannotBeSent):
        return str(error)
    if isinstance(error, requests.ConnectTimeout):
        return "it could not be reached in time"
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy that HTTPS_PROXY or ALL_PROXY names did not connect"
    if isinstance(error, requests.ConnectionError | HTTPError):
        return "the connection failed or was reset"
    return f"the exchange broke off ({type(error).__name__})"
