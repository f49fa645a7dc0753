"""Access tokens of a Zoom Server-to-Server OAuth app."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from authlib.oauth2 import OAuth2Client
from requests.auth import HTTPBasicAuth

from rtms.http.answer import HttpAnswer, NoAnswer
from rtms.http.session import NETWORK_ERRORS, CannotBeSent, Session, network_error_text
from rtms.zoom.token_answers import OF_SERVER_TO_SERVER, NoToken, Refusals, why_no_token

_RENEW_BEFORE = 60.0  # seconds before its end
_LIFETIME = 3600.0  # seconds, where the answer does not say (Zoom: Server-to-Server OAuth)
_MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True)
class AccessToken:
    """An access token, and what it allows."""

    value: str
    scopes: frozenset[str]
    renew_at: float  # on the monotonic clock, in seconds

    def __repr__(self) -> str:
        return "<AccessToken>"


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
        self._basic = HTTPBasicAuth(client_id.encode(), client_secret.encode())
        self._url = f"{oauth_url}/token"
        self._timeout = timeout
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._failure: NoToken | None = None  # of the last request
        self._failed_at = 0.0  # on the monotonic clock

    def __repr__(self) -> str:
        return f"<TokenSource {self._url}>"

    def get(self) -> AccessToken:
        """Return a valid token, a new one if needed.

        Raises:
            NoToken: Zoom gave none.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._token is not None and time.monotonic() < self._token.renew_at:
                return self._token
            if self._failure is None or self._failed_at < asked_at:
                self._renew()
            # Otherwise a request failed while this thread waited for it. One more for each thread
            # would keep the last one waiting for minutes.
            if self._token is None:
                assert self._failure
                raise self._failure.with_traceback(None)
            return self._token

    def forget(self, token: AccessToken) -> None:
        """Do not return a token again, because Zoom refused it."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _renew(self) -> None:
        asked_at = time.monotonic()
        self._token = self._failure = None
        try:
            with Session() as session:
                client = OAuth2Client(TokenRequests(session, self._timeout))
                answer: dict[str, Any] = client.fetch_token(
                    self._url,
                    grant_type="account_credentials",
                    account_id=self._account_id,
                    auth=self._basic,
                )
        except NoToken as error:
            self._failure, self._failed_at = error, time.monotonic()
            return
        seconds = answer.get("expires_in")
        lifetime = _LIFETIME if seconds is None else float(seconds)
        scopes = frozenset(str(answer.get("scope") or "").split())
        renew_at = asked_at + max(lifetime - _RENEW_BEFORE, 0.0)
        self._token = AccessToken(answer["access_token"], scopes, renew_at)


class TokenRequests:
    """Sends Authlib's requests, each with a limit of the answer's size and of the whole time."""

    def __init__(
        self, session: Session, timeout: float, refusals: Refusals = OF_SERVER_TO_SERVER
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._refusals = refusals

    def post(self, url: str, **options: Any) -> requests.Response:
        """Return an answer that has a token.

        Raises:
            NoToken: there is none.
        """
        try:
            answer = self._send(url, options)
        except CannotBeSent as error:
            failure: NoToken | None = NoToken(
                f"Zoom was not asked for a token: {error}.", passes=False
            )
        except NoAnswer as error:
            failure = NoToken(f"Zoom's token endpoint gave no answer: {error}.")
        except NETWORK_ERRORS as error:
            failure = NoToken(f"Zoom's token endpoint gave no answer: {network_error_text(error)}.")
        else:
            failure = why_no_token(answer, self._refusals)
        if failure is not None:
            raise failure
        response = requests.Response()
        response.status_code = answer.status
        response.raw = io.BytesIO(answer.content)
        return response

    def _send(self, url: str, options: dict[str, Any]) -> HttpAnswer:
        with self._session.request(
            "POST", url, timeout=self._timeout, allow_redirects=False, stream=True, **options
        ) as response:
            give_up_at = time.monotonic() + self._timeout
            return HttpAnswer.read(response, give_up_at=give_up_at, most=_MAX_ANSWER_BYTES)
