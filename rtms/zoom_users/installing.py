"""Get the tokens of a user who installs the app, and store them encrypted."""

from __future__ import annotations

from datetime import timedelta

import structlog

from rtms import clock
from rtms.db.database import Database
from rtms.zoom.user_tokens import UserOAuth
from rtms.zoom_users import rows
from rtms.zoom_users.encryption import TokenCipher

log = structlog.get_logger()


def install(
    database: Database, oauth: UserOAuth, cipher: TokenCipher, *, code: str, redirect_uri: str
) -> None:
    """Exchange an authorization code, and store the user's tokens.

    Raises:
        NoToken: Zoom gave none. Nothing was stored.
        DatabaseUnavailable: nothing was stored.
    """
    asked_at = clock.now()
    grant = oauth.exchange(code, redirect_uri=redirect_uri)
    user = oauth.user_of(grant)
    database.write(
        lambda connection: rows.store(
            connection,
            user_id=user.id,
            account_id=user.account_id,
            access_token=cipher.encrypt(grant.access_token),
            refresh_token=cipher.encrypt(grant.refresh_token),
            expires_at=asked_at + timedelta(seconds=grant.seconds),
            now=clock.now(),
        )
    )
    log.info("a user installed the app", user=user.id, account=user.account_id)
