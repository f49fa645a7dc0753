"""HTTP sessions without redirects or cookies, and safe comparison of URLs, for every client."""

from __future__ import annotations

import re
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests import exceptions
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError

from rtms.http import proxies

USER_AGENT = "zoom-rtms-recall"
# Includes urllib3's errors, because bodies are read from it directly, and UnicodeError, for an
# invalid host name.
NETWORK_ERRORS = (requests.RequestException, HTTPError, OSError, UnicodeError)
# The library raises these before it has sent anything.
_NEVER_SENT = (
    exceptions.InvalidSchema,
    exceptions.InvalidURL,  # InvalidProxyURL, too
    exceptions.MissingSchema,
    exceptions.InvalidHeader,
    LocationValueError,
    UnicodeError,
)


class CannotBeSent(requests.RequestException):
    """A request could not be sent, and no retry would help. The message says why and what to do,
    and contains no address."""


class Session(requests.Session):
    """Keeps no cookies and leaves redirects to the caller. The library would turn a redirected POST
    into a GET, and reads a redirect's target and body even when told not to follow it."""

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
            CannotBeSent: the address, or the environment's proxies or certificates, are unusable.
            one of `NETWORK_ERRORS`: there was no answer.
        """
        settings = self.merge_environment_settings(url, {}, None, None, None)
        why = proxies.complaint(url, settings["proxies"])
        if why is None:
            try:
                return super().request(method, url, **options)
            except _NEVER_SENT:
                why = "its address or a header is invalid"
            except OSError as error:
                if type(error) is not OSError:  # the library's own errors are subclasses
                    raise
                why = (
                    "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a certificate file that does not "
                    "exist: correct it, or unset it"
                )
        raise CannotBeSent(why)  # outside the except blocks, whose error may contain a link


def origin(url: str) -> tuple[str, str, int | None] | None:
    """Return a URL's scheme, host and port; None where it is not a plain URL. A URL that parsers
    may read differently (a backslash, a user before the host) is not plain."""
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
    """Return where a redirect leads; empty if that is no URL. Check its `origin` before use."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def network_error_text(error: Exception) -> str:
    """Return the kind of a network error in a few words, without URLs and addresses."""
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
    return f"the exchange failed ({type(error).__name__})"
