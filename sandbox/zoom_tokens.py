"""The tokens that the stand-in for Zoom's OAuth issues."""

import base64
import hmac
import secrets
import threading
import time
from collections.abc import Mapping

from sandbox.wire import Answer

SCOPE = "meeting:update:participant_rtms_app_status:admin"


class Tokens:
    """Issues and checks access tokens. Threads may share it."""

    def __init__(
        self,
        account_id: str,
        client_id: str,
        client_secret: str,
        seconds: int,
        scopes: tuple[str, ...],
    ) -> None:
        """Know one Server-to-Server OAuth app, whose tokens live for ``seconds``."""
        self.account_id, self.seconds, self.scopes = account_id, seconds, scopes
        self._app = _basic(client_id, client_secret)
        self._lock = threading.Lock()
        self._issued: dict[str, tuple[float, tuple[str, ...]]] = {}  # token → end, scopes

    def answer(self, authorization: str, form: Mapping[str, str]) -> Answer:
        """Return the answer of ``POST /oauth/token``."""
        if not hmac.compare_digest(authorization.encode(), self._app.encode()):
            return _error("invalid_client", "Invalid client_id or client_secret")
        if form.get("grant_type") != "account_credentials":
            return _error("unsupported_grant_type", "unsupported grant type")
        if form.get("account_id") != self.account_id:
            return _error("invalid_request", "Bad Request")
        return Answer.of_json(200, self._issue(self.scopes))

    def scopes_of(self, authorization: str) -> tuple[str, ...] | None:
        """Return the scopes of a bearer token; None where it is invalid."""
        with self._lock:
            ends_at, scopes = self._issued.get(authorization.removeprefix("Bearer "), (0.0, ()))
        return scopes if time.time() < ends_at else None

    def revoke(self) -> None:
        """End every token issued so far."""
        with self._lock:
            self._issued.clear()

    @property
    def issued(self) -> list[str]:
        """Every valid token, oldest first."""
        with self._lock:
            return list(self._issued)

    def _issue(self, scopes: tuple[str, ...]) -> dict[str, object]:
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._issued[token] = (time.time() + self.seconds, scopes)
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.seconds,
            "scope": " ".join(scopes),
            "api_url": "https://api.zoom.us",
        }


def _basic(client_id: str, client_secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()


def _error(error: str, reason: str) -> Answer:
    return Answer.of_json(400, {"reason": reason, "error": error})
