"""The client for Zoom's API. Every response, or lack of one, becomes a typed outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote

import requests

from rtms.http.answer import HttpAnswer, NoAnswer
from rtms.http.session import NETWORK_ERRORS, CannotBeSent, Session, network_error_text
from rtms.zoom.access_token import AccessToken, TokenSource
from rtms.zoom.stream_answers import stream_outcome
from rtms.zoom.stream_outcomes import NotAllowed, OutcomeUnknown, StreamOutcome, TryLater
from rtms.zoom.token_answers import NoToken

_MAX_ANSWER_BYTES = 64 * 1024
_REDIRECTS = range(300, 400)


class Tokens(Protocol):
    """Where access tokens come from."""

    def get(self) -> AccessToken:
        """Return a valid token; raises NoToken."""

    def forget(self, token: AccessToken) -> None:
        """Do not return a token again."""


class ZoomApi:
    """A client with the token of a Server-to-Server OAuth app. Threads may share it.

    Args:
        account_id, client_id, client_secret: of the Server-to-Server OAuth app.
        rtms_client_id: the client id of the app that receives the streams.
        api_url, oauth_url: Zoom's addresses, without a trailing slash.
        timeout: seconds to connect, and again for each read.
    """

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        rtms_client_id: str,
        api_url: str,
        oauth_url: str,
        timeout: float = 10.0,
    ) -> None:
        self._api_url = api_url
        self._rtms_client_id = rtms_client_id
        self._client_secret = client_secret
        self._timeout = timeout
        self._tokens = TokenSource(
            account_id=account_id,
            client_id=client_id,
            client_secret=client_secret,
            oauth_url=oauth_url,
            timeout=timeout,
        )
        self._session = Session()
        self._session.headers["Accept"] = "application/json"

    def __repr__(self) -> str:
        return f"<ZoomApi {self._api_url}>"

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def scopes(self) -> frozenset[str]:
        """Return what the app's access tokens allow.

        Raises:
            NoToken: Zoom gave no token.
        """
        return self._tokens.get().scopes

    def change_stream(
        self,
        action: str,
        *,
        meeting_id: str,
        participant_user_id: str | None = None,
        tokens: Tokens | None = None,
    ) -> StreamOutcome:
        """Ask Zoom to start or stop a meeting's stream (Zoom: live meeting RTMS app status).

        Args:
            action: `start` or `stop`.
            meeting_id: the meeting's number.
            participant_user_id: the user whose stream it is; None lets Zoom choose.
            tokens: of a user of the meeting's account; by default the app's, which reach one
                account.
        """
        tokens = tokens or self._tokens
        settings = {"client_id": self._rtms_client_id}
        if participant_user_id is not None:
            settings["participant_user_id"] = participant_user_id
        body = {"action": action, "settings": settings}
        url = f"{self._api_url}/live_meetings/{quote(meeting_id, safe='')}/rtms_app/status"
        try:
            token = tokens.get()
            answer = self._patch(url, body, token)
            if answer.status == 401:
                tokens.forget(token)
                token = tokens.get()
                answer = self._patch(url, body, token)
        except NoToken as error:
            if error.passes:
                return TryLater(
                    error=str(error),
                    retry_after=error.retry_after,
                    is_rate_limit=error.is_rate_limit,
                )
            return NotAllowed(error=str(error))
        except CannotBeSent as error:
            return NotAllowed(error=f"Zoom was not asked: {error}.")
        except NoAnswer as error:
            return OutcomeUnknown(error=f"No answer from Zoom: {error}.")
        except NETWORK_ERRORS as error:
            return OutcomeUnknown(error=f"No answer from Zoom: {network_error_text(error)}.")
        if answer.status in _REDIRECTS:
            return NotAllowed(
                error="Zoom's address redirects, and another one must not get the access token: "
                "check ZOOM_API_URL."
            )
        outcome = stream_outcome(answer, hide=(token.value, self._client_secret))
        if isinstance(outcome, NotAllowed):  # the scopes of a token do not change
            tokens.forget(token)
        return outcome

    def _patch(self, url: str, body: dict[str, Any], token: AccessToken) -> HttpAnswer:
        with self._session.request(
            "PATCH",
            url,
            json=body,
            auth=bearer(token.value),
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            give_up_at = time.monotonic() + self._timeout
            return HttpAnswer.read(response, give_up_at=give_up_at, most=_MAX_ANSWER_BYTES)


def bearer(
    token: str,
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what signs a request. Without an explicit auth, requests would replace the header with
    a password from the user's .netrc."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign
