"""Who is logged in: a random token in a signed cookie, and its hash in the table."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import Response, request
from itsdangerous import BadSignature, Signer
from sqlalchemy.engine import Connection

from config import Config
from models import ADMIN_SESSIONS
from rtms.dashboard.auth.keys import key_for

LIFETIME = timedelta(hours=12)
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Cookie:
    """The session's cookie, as a request over this scheme carries it. Only a secure one can be
    bound to its host by its name, and only where the server has all of the host's paths."""

    secure: bool
    path: str  # beside it may be other programs, which are not to get it

    @property
    def name(self) -> str:
        if not self.secure:
            return "rtms_session"
        return "__Host-rtms_session" if self.path == "/" else "__Secure-rtms_session"

    def set(self, answer: Response, value: str) -> None:
        """Let a browser keep it."""
        answer.set_cookie(
            self.name,
            value,
            max_age=LIFETIME,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="Lax",
        )

    def delete(self, answer: Response) -> None:
        """Let a browser forget it."""
        answer.delete_cookie(
            self.name, path=self.path, secure=self.secure, httponly=True, samesite="Lax"
        )


def cookie() -> Cookie:
    """The cookie of this request."""
    return Cookie(secure=request.is_secure, path=request.script_root or "/")


def token_of_request(config: Config) -> str | None:
    """The token that this request's cookie carries, if we have signed it. Whether the session
    still stands only the table knows."""
    try:
        return _signer(config).unsign(request.cookies.get(cookie().name, "")).decode()
    except (BadSignature, UnicodeDecodeError):
        return None


def begin(connection: Connection, *, now: datetime) -> str:
    """Write a new session down, and drop those that have expired.

    Returns:
        Its token, for the cookie: the table has only its hash.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    connection.execute(ADMIN_SESSIONS.delete().where(ADMIN_SESSIONS.c.expires_at <= now))
    connection.execute(
        ADMIN_SESSIONS.insert().values(
            token_hash=_hash(token), created_at=now, expires_at=now + LIFETIME
        )
    )
    return token


def stands(connection: Connection, token: str, *, now: datetime) -> bool:
    """Whether a token's session was begun, has not expired and was not ended."""
    found = sa.select(ADMIN_SESSIONS.c.token_hash).where(
        ADMIN_SESSIONS.c.token_hash == _hash(token), ADMIN_SESSIONS.c.expires_at > now
    )
    return connection.scalar(found) is not None


def end(connection: Connection, token: str) -> None:
    """Log out: the token is worth nothing from now on."""
    connection.execute(ADMIN_SESSIONS.delete().where(ADMIN_SESSIONS.c.token_hash == _hash(token)))


def signed(config: Config, token: str) -> str:
    """A token as the cookie carries it."""
    return _signer(config).sign(token).decode()


def _signer(config: Config) -> Signer:
    return Signer(key_for(config, "session"), digest_method=hashlib.sha256)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
