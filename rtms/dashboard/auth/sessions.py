"""Who is logged in: a random token in Flask's session, which is a signed cookie, and the token's
hash in the table."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import Flask, Request, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from sqlalchemy.engine import Connection

from config import Config
from models import ADMIN_SESSIONS

LIFETIME = timedelta(hours=12)
_TOKEN_BYTES = 32
_WEBHOOKS = ("/zoom-webhook", "/recall-webhook")


class DashboardSessions(SecureCookieSessionInterface):
    """Flask's sessions, in a cookie for this server alone. Only a secure cookie can be bound to its
    host by its name, and only where the server has all of the host's paths."""

    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the request's session; None for a delivery, which has none."""
        return None if request.path.startswith(_WEBHOOKS) else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:
        """Return the cookie's name, which depends on the request's scheme and path."""
        if not request.is_secure:
            return "rtms_session"
        is_whole_host = self.get_cookie_path(app) == "/"
        return "__Host-rtms_session" if is_whole_host else "__Secure-rtms_session"

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path of PUBLIC_URL. Other programs on the host must not get the cookie."""
        return request.script_root or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the request came over TLS."""
        return request.is_secure


def init_app(app: Flask, config: Config) -> None:
    """Give an app its sessions. All processes sign with the same key. A new ADMIN_PASSWORD makes
    another key, so every cookie becomes void."""
    secret = config.zoom_client_secret.encode()
    message = f"rtms dashboard\0session\0{config.admin_password}"
    app.secret_key = hmac.digest(secret, message.encode(), hashlib.sha256)
    app.session_interface = DashboardSessions()
    app.permanent_session_lifetime = LIFETIME
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False


def begin(connection: Connection, *, now: datetime) -> str:
    """Store a new session, and delete those that have expired.

    Returns:
        The session's token, for the cookie. The table has only its hash.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    connection.execute(ADMIN_SESSIONS.delete().where(ADMIN_SESSIONS.c.expires_at <= now))
    connection.execute(
        ADMIN_SESSIONS.insert().values(
            token_hash=_hash(token), created_at=now, expires_at=now + LIFETIME
        )
    )
    return token


def set_cookie(token: str) -> None:
    """Put a session's token into the cookie, and a new token for its forms."""
    session.clear()
    session.permanent = True
    session.update(token=token, csrf=secrets.token_hex(_TOKEN_BYTES))


def is_valid(connection: Connection, token: str, *, now: datetime) -> bool:
    """Return whether a token's session is in the table and has not expired."""
    found = sa.select(ADMIN_SESSIONS.c.token_hash).where(
        ADMIN_SESSIONS.c.token_hash == _hash(token), ADMIN_SESSIONS.c.expires_at > now
    )
    return connection.scalar(found) is not None


def end(connection: Connection, token: str) -> None:
    """Delete a token's session: log it out everywhere."""
    connection.execute(ADMIN_SESSIONS.delete().where(ADMIN_SESSIONS.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
