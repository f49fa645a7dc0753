"""Access tokens of users who installed the app, refreshed by one process at a time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from models import ZOOM_USERS
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.queue.leases import new_owner
from rtms.zoom.access_token import AccessToken
from rtms.zoom.token_answers import NoToken
from rtms.zoom.user_tokens import UserGrant, UserOAuth
from rtms.zoom_users.encryption import KeyLost, TokenCipher

_REFRESH_BEFORE = timedelta(seconds=60)  # before the end of an access token
_LEASE = timedelta(seconds=60)  # longer than a refresh takes
_SECONDS_OF_ANOTHER = 2.0  # until another process has probably refreshed the tokens
_KEY_LOST = (
    "No key of TOKEN_ENCRYPTION_KEY decrypts this user's tokens. Add the key that encrypted them, "
    "or ask the user to install the app again."
)
_U = ZOOM_USERS.c

log = structlog.get_logger()


class UserTokens:
    """The tokens in `zoom_users`. Threads may share it.

    Args:
        oauth: a refresh with its timeout must be shorter than a minute.
    """

    def __init__(self, database: Database, oauth: UserOAuth, cipher: TokenCipher) -> None:
        self._database = database
        self._oauth = oauth
        self._cipher = cipher

    def of(
        self,
        *,
        account_id: str | None,
        operator_id: str | None,
        own_account_id: str | None = None,
    ) -> TokenOfAccount | None:
        """Return the tokens for a meeting; None where no user of its account, nor its operator,
        has installed the app.

        Args:
            account_id: of the meeting. Zoom does not always say it; then it is the operator's,
                unless that is `own_account_id`.
            operator_id: the user whose stream it is. This user's tokens are preferred.
        """
        is_operator = _U.zoom_user_id == operator_id
        wanted = sa.or_(_U.account_id == account_id, is_operator)
        if account_id is None:
            wanted = sa.and_(is_operator, _U.account_id != (own_account_id or ""))
        with self._database.read() as connection:
            ids = connection.scalars(
                sa.select(_U.id)
                .where(wanted, _U.must_install_again.is_(False))
                .order_by(sa.case((is_operator, 0), else_=1), _U.id)
            ).all()
        return TokenOfAccount(self, list(ids)) if ids else None

    def get(self, id: int) -> AccessToken:
        """Return a valid access token of a row, after a refresh if needed.

        Raises:
            NoToken: there is none.
            DatabaseUnavailable: it could not be read, or the new tokens could not be stored.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(ZOOM_USERS).where(_U.id == id)).one_or_none()
        if row is None or row.must_install_again:
            raise _no_user()
        try:
            if row.expires_at - _REFRESH_BEFORE > clock.now():
                return _access_token(self._cipher.decrypt(row.access_token), row.expires_at)
            refresh_token = self._cipher.decrypt(row.refresh_token)
        except KeyLost:
            self._note(row, _KEY_LOST)
            raise NoToken(_KEY_LOST, passes=False) from None
        return self._refresh(row, refresh_token)

    def expire(self, id: int) -> None:
        """Let the next `get` refresh a row's tokens, because Zoom refused the access token."""
        self._database.write(
            lambda connection: connection.execute(
                ZOOM_USERS.update().where(_U.id == id).values(expires_at=clock.now())
            )
        )

    def _refresh(self, row: AnyRow, refresh_token: str) -> AccessToken:
        owner = new_owner()
        if not self._database.write(lambda connection: _lease(connection, row, owner)):
            raise NoToken(
                "Another process is refreshing the user's tokens.", retry_after=_SECONDS_OF_ANOTHER
            )
        asked_at = clock.now()
        try:
            grant = self._oauth.refresh(refresh_token)
        except NoToken as error:
            again = error.is_invalid_grant
            if self._finish(row, owner, must_install_again=again, last_error=str(error)) and again:
                log.warning("a user must install the app again", user=row.zoom_user_id)
            raise
        return self._store(row, owner, grant, asked_at + timedelta(seconds=grant.seconds))

    def _store(
        self, row: AnyRow, owner: str, grant: UserGrant, expires_at: datetime
    ) -> AccessToken:
        """Commit the new tokens before the access token is used: the older ones have ended."""
        is_stored = self._finish(
            row,
            owner,
            access_token=self._cipher.encrypt(grant.access_token),
            refresh_token=self._cipher.encrypt(grant.refresh_token),
            expires_at=expires_at,
            refreshed_at=clock.now(),
            last_error=None,
        )
        if not is_stored:
            raise NoToken(
                "The user installed or removed the app meanwhile.", retry_after=_SECONDS_OF_ANOTHER
            )
        return _access_token(grant.access_token, expires_at)

    def _finish(self, row: AnyRow, owner: str, **values: Any) -> bool:
        """End the lease. Return whether it was still ours."""
        return self._database.write(
            lambda connection: (
                connection.execute(
                    ZOOM_USERS.update()
                    .where(_U.id == row.id, _U.lease_owner == owner)
                    .values(lease_owner=None, leased_until=None, **values)
                ).rowcount
                > 0
            )
        )

    def _note(self, row: AnyRow, error: str) -> None:
        """Keep an error in the row, and log it once."""
        change = (
            ZOOM_USERS.update()
            .where(_U.id == row.id, _U.last_error.is_distinct_from(error))
            .values(last_error=error)
        )
        if self._database.write(lambda connection: connection.execute(change).rowcount):
            log.error("a user's tokens cannot be decrypted", user=row.zoom_user_id, error=error)


class TokenOfAccount:
    """The access token of the first of some users that has one."""

    def __init__(self, tokens: UserTokens, ids: list[int]) -> None:
        self._tokens = tokens
        self._ids = ids
        self._used: int | None = None

    def get(self) -> AccessToken:
        """Return a valid access token.

        Raises:
            NoToken: none of the users has one.
            DatabaseUnavailable: the database does not answer.
        """
        failure = _no_user()
        for id in self._ids:
            try:
                token = self._tokens.get(id)
            except NoToken as error:
                if error.passes:
                    raise
                failure = error
                continue
            self._used = id
            return token
        raise failure

    def forget(self, token: AccessToken) -> None:
        """Refresh before a token is returned again, because Zoom refused it."""
        if self._used is not None:
            self._tokens.expire(self._used)


def _no_user() -> NoToken:
    return NoToken(
        "No user of the meeting's account has installed the app: ask one to open /install.",
        passes=False,
    )


def _access_token(value: str, expires_at: datetime) -> AccessToken:
    left = (expires_at - clock.now() - _REFRESH_BEFORE).total_seconds()
    return AccessToken(value, frozenset(), time.monotonic() + left)


def _lease(connection: Connection, row: AnyRow, owner: str) -> bool:
    """Lease a row for a refresh, unless it is leased or its tokens changed."""
    now = clock.now()
    leased = connection.execute(
        ZOOM_USERS.update()
        .where(
            _U.id == row.id,
            _U.installed_at == row.installed_at,
            _U.refreshed_at.is_not_distinct_from(row.refreshed_at),
            sa.or_(_U.leased_until.is_(None), _U.leased_until <= now),
        )
        .values(lease_owner=owner, leased_until=now + _LEASE)
    )
    return leased.rowcount > 0
