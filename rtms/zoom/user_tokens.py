"""The tokens of a user who installs the app (Zoom: OAuth 2.0, authorization code)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from requests.auth import HTTPBasicAuth

from rtms.http.answer import HttpAnswer, NoAnswer
from rtms.http.session import NETWORK_ERRORS, Session, network_error_text
from rtms.zoom.access_token import TokenRequests
from rtms.zoom.api import bearer
from rtms.zoom.token_answers import OF_USERS, NoToken

_LIFETIME = 3600.0  # seconds, where the answer does not say
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_ID = 255  # characters


@dataclass(frozen=True)
class UserGrant:
    """The tokens of a user. The refresh token is good once."""

    access_token: str
    refresh_token: str
    seconds: float  # until the access token ends

    def __repr__(self) -> str:
        return "<UserGrant>"


@dataclass(frozen=True)
class GrantingUser:
    """The user whose tokens they are."""

    id: str
    account_id: str


class UserOAuth:
    """Gets the tokens of users. Threads may share it.

    Args:
        client_id, client_secret: of the app that users install.
        api_url, oauth_url: Zoom's addresses, without a trailing slash.
        timeout: seconds to connect, and again for each read.
    """

    def __init__(
        self, *, client_id: str, client_secret: str, api_url: str, oauth_url: str, timeout: float
    ) -> None:
        self._client_id = client_id
        self._basic = HTTPBasicAuth(client_id.encode(), client_secret.encode())
        self._api_url = api_url
        self._oauth_url = oauth_url
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<UserOAuth {self._oauth_url}>"

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """Return Zoom's page on which a user allows the app."""
        url: str = prepare_grant_uri(
            f"{self._oauth_url}/authorize",
            client_id=self._client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            state=state,
        )
        return url

    def exchange(self, code: str, *, redirect_uri: str) -> UserGrant:
        """Return the tokens for an authorization code, which is good once.

        Raises:
            NoToken: Zoom gave none.
        """
        return self._fetch(grant_type="authorization_code", code=code, redirect_uri=redirect_uri)

    def refresh(self, refresh_token: str) -> UserGrant:
        """Return new tokens. The given refresh token ends.

        Raises:
            NoToken: Zoom gave none.
        """
        return self._fetch(grant_type="refresh_token", refresh_token=refresh_token)

    def _fetch(self, **form: str) -> UserGrant:
        with Session() as session:
            client = OAuth2Client(TokenRequests(session, self._timeout, OF_USERS))
            answer: dict[str, Any] = client.fetch_token(
                f"{self._oauth_url}/token", auth=self._basic, **form
            )
        refresh_token, seconds = answer.get("refresh_token"), answer.get("expires_in")
        if not isinstance(refresh_token, str) or not refresh_token.isprintable():
            raise NoToken("Zoom's token endpoint gave no refresh token: check ZOOM_OAUTH_URL.")
        lifetime = _LIFETIME if seconds is None else float(seconds)
        return UserGrant(answer["access_token"], refresh_token, lifetime)

    def user_of(self, grant: UserGrant) -> GrantingUser:
        """Return the user to whom tokens belong.

        Raises:
            NoToken: Zoom does not say.
        """
        try:
            with (
                Session() as session,
                session.request(
                    "GET",
                    f"{self._api_url}/users/me",
                    auth=bearer(grant.access_token),
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                give_up_at = time.monotonic() + self._timeout
                answer = HttpAnswer.read(response, give_up_at=give_up_at, most=_MAX_ANSWER_BYTES)
        except NoAnswer as error:
            raise NoToken(f"Zoom did not say whose tokens they are: {error}.") from None
        except NETWORK_ERRORS as error:
            text = network_error_text(error)
            raise NoToken(f"Zoom did not say whose tokens they are: {text}.") from None
        body = answer.json() or {}
        user_id, account_id = body.get("id"), body.get("account_id")
        if answer.status != 200 or not _is_id(user_id) or not _is_id(account_id):
            raise NoToken(
                f"Zoom did not say whose tokens they are ({answer.status}): see that the app has "
                "the scope user:read:user."
            )
        return GrantingUser(str(user_id), str(account_id))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID and value.isprintable()
