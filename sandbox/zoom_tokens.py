"""The tokens that the stand-in for Zoom's OAuth issues."""

import base64
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.wire import Answer

SCOPE = "meeting:update:participant_rtms_app_status:admin"
USER_SCOPE = SCOPE.removesuffix(":admin")


@dataclass(frozen=True, kw_only=True)
class ZoomUser:
    """A user who adds the app, with random ids."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    account_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    email: str = "user@zoom.example"


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """An access token's rights."""

    ends_at: float  # unix seconds
    account_id: str  # whose meetings it reaches
    scopes: tuple[str, ...]
    user: ZoomUser | None = None  # None: a token of the Server-to-Server OAuth app


class Tokens:
    """Issues and checks tokens. Threads may share it."""

    def __init__(
        self,
        account_id: str,
        client_id: str,
        client_secret: str,
        seconds: int,
        scopes: tuple[str, ...],
        rtms_app: tuple[str, str],
    ) -> None:
        """Know a Server-to-Server OAuth app, and the app that users add (its id and secret)."""
        self.account_id, self.seconds, self.scopes = account_id, seconds, scopes
        self._s2s_app = _basic(client_id, client_secret)
        self._rtms_app = _basic(*rtms_app)
        self._lock = threading.Lock()
        self._issued: dict[str, IssuedToken] = {}
        self._codes: dict[str, tuple[ZoomUser, str]] = {}  # code → user, redirect URL
        self._refresh_tokens: dict[str, ZoomUser] = {}

    def grant_code(self, user: ZoomUser, redirect_uri: str) -> str:
        """Return the ``code`` with which a user who has added the app is sent to the app."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = (user, redirect_uri)
        return code

    def answer(self, authorization: str, form: Mapping[str, str]) -> Answer:
        """Return the answer of ``POST /oauth/token``."""
        kind = form.get("grant_type")
        if kind == "account_credentials":
            return self._for_account(authorization, form)
        if kind not in ("authorization_code", "refresh_token"):
            return _error("unsupported_grant_type", "unsupported grant type")
        if not _same(authorization, self._rtms_app):
            return _error("invalid_client", "Invalid client_id or client_secret")
        with self._lock:  # each code and each refresh token is used once
            if kind == "authorization_code":
                user, redirect_uri = self._codes.pop(form.get("code", ""), (None, ""))
                if redirect_uri != form.get("redirect_uri", ""):
                    user = None
            else:
                user = self._refresh_tokens.pop(form.get("refresh_token", ""), None)
        if user is None:
            return _error("invalid_grant", "Invalid authorization code or refresh token")
        return self._for_user(user)

    def _for_account(self, authorization: str, form: Mapping[str, str]) -> Answer:
        if _same(authorization, self._rtms_app):
            return _error("unsupported_grant_type", "unsupported grant type")
        if not _same(authorization, self._s2s_app):
            return _error("invalid_client", "Invalid client_id or client_secret")
        if form.get("account_id") != self.account_id:
            return _error("invalid_request", "Bad Request")
        body = self._issue(account_id=self.account_id, scopes=self.scopes)
        return Answer.of_json(200, body)

    def _for_user(self, user: ZoomUser) -> Answer:
        body = self._issue(account_id=user.account_id, scopes=(USER_SCOPE,), user=user)
        refresh_token = secrets.token_urlsafe(32)
        with self._lock:
            self._refresh_tokens[refresh_token] = user
        return Answer.of_json(200, {**body, "refresh_token": refresh_token})

    def rights_of(self, authorization: str) -> IssuedToken | None:
        """Return the rights of a bearer token; None where it is invalid."""
        with self._lock:
            issued = self._issued.get(authorization.removeprefix("Bearer "))
        return issued if issued and time.time() < issued.ends_at else None

    def revoke(self) -> None:
        """End every access token issued so far."""
        with self._lock:
            self._issued.clear()

    def uninstall(self, user: ZoomUser) -> None:
        """End a user's tokens, as an uninstall does."""
        with self._lock:
            for token in [each for each, rights in self._issued.items() if rights.user == user]:
                del self._issued[token]
            for token in [each for each, whose in self._refresh_tokens.items() if whose == user]:
                del self._refresh_tokens[token]

    @property
    def issued(self) -> list[str]:
        """Every access token that was not ended, oldest first."""
        with self._lock:
            return list(self._issued)

    def _issue(self, **rights: Any) -> dict[str, object]:
        token = secrets.token_urlsafe(32)
        issued = IssuedToken(ends_at=time.time() + self.seconds, **rights)
        with self._lock:
            self._issued[token] = issued
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.seconds,
            "scope": " ".join(issued.scopes),
            "api_url": "https://api.zoom.us",
        }


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _basic(client_id: str, client_secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()


def _error(error: str, reason: str) -> Answer:
    return Answer.of_json(400, {"reason": reason, "error": error})
