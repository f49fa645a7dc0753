"""Access tokens of a Zoom Server-to-Server OAuth app."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError

from rtms.http.session import NETWORK_ERRORS, network_error_text

_RENEW_BEFORE = 60.0  # seconds before its end
_LIFETIME = 3600.0  # seconds, where the answer does not say (Zoom: Server-to-Server OAuth)


@dataclass(frozen=True)
class AccessToken:
    """An access token, and what it allows."""

    value: str
    scopes: frozenset[str]
    renew_at: float  # on the monotonic clock, in seconds

    def __repr__(self) -> str:
        return "<AccessToken>"


class NoToken(Exception):
    """Zoom gave no access token. The message says why and what to do."""

    def __init__(
        self, message: str, *, passes: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.passes = passes  # False: a person must first fix what the message names
        self.retry_after = retry_after  # seconds


class TokenSource:
    """Gets access tokens, and keeps one until shortly before its end. Threads may share it.

    Args:
        oauth_url: Zoom's OAuth address, without a trailing slash.
        timeout: seconds to connect, and again for each read.
    """

    def __init__(
        self, *, account_id: str, client_id: str, client_secret: str, oauth_url: str, timeout: float
    ) -> None:
        self._account_id = account_id
        self._client_id = client_id
        self._client_secret = client_secret
        self._url = f"{oauth_url}/token"
        self._timeout = timeout
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def __repr__(self) -> str:
        return f"<TokenSource {self._url}>"

    def get(self) -> AccessToken:
        """Return a valid token, a new one if needed.

        Raises:
            NoToken: Zoom gave none.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.renew_at:
                self._token = self._fetch()
            return self._token

    def forget(self, token: AccessToken) -> None:
        """Do not return a token again, because Zoom refused it."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _fetch(self) -> AccessToken:
        asked_at = time.monotonic()
        with OAuth2Session(self._client_id, self._client_secret) as session:
            try:
                answer: dict[str, Any] = session.fetch_token(
                    self._url,
                    grant_type="account_credentials",
                    account_id=self._account_id,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except OAuthError as error:
                raise NoToken(
                    f"Zoom refused to give an access token ({_code(error)}): check "
                    "ZOOM_S2S_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID and ZOOM_S2S_CLIENT_SECRET, and that "
                    "the app is activated.",
                    passes=False,
                ) from None
            except requests.HTTPError as error:
                raise _refused(error.response) from None
            except ValueError:  # requests' own errors of JSON are of this class, too
                raise NoToken(
                    "Zoom's token endpoint did not answer with JSON: check ZOOM_OAUTH_URL."
                ) from None
            except NETWORK_ERRORS as error:
                raise NoToken(
                    f"Zoom's token endpoint gave no answer: {network_error_text(error)}."
                ) from None
        value = answer.get("access_token")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise NoToken("Zoom's token endpoint gave no access token: check ZOOM_OAUTH_URL.")
        seconds = answer.get("expires_in")
        lifetime = float(seconds) if isinstance(seconds, int | float) else _LIFETIME
        return AccessToken(
            value, _scopes(answer), renew_at=asked_at + max(lifetime - _RENEW_BEFORE, 0.0)
        )


def _code(error: OAuthError) -> str:
    """Return the error's code, which is from a closed set, rather than its text."""
    code = str(error.error)
    return code if code.replace("_", "").isalnum() and len(code) <= 50 else "without a code"


def _scopes(answer: dict[str, Any]) -> frozenset[str]:
    scope = answer.get("scope")
    return frozenset(scope.split()) if isinstance(scope, str) else frozenset()


def _refused(response: requests.Response) -> NoToken:
    status = response.status_code
    text = response.headers.get("Retry-After", "")
    wait = min(float(text), 3600.0) if text.isascii() and text.isdigit() else None
    if status == 429 or status >= 500:
        return NoToken(f"Zoom's token endpoint answered {status}.", retry_after=wait)
    return NoToken(
        f"Zoom's token endpoint answered {status}: check ZOOM_OAUTH_URL, and ZOOM_S2S_ACCOUNT_ID, "
        "ZOOM_S2S_CLIENT_ID and ZOOM_S2S_CLIENT_SECRET.",
        passes=False,
    )
