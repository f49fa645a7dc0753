"""Store, change and delete the rows of users who installed the app.

Statements for use inside a transaction. Tokens are given and returned encrypted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from models import ZOOM_USERS
from rtms.db.engines import insert_into

_U = ZOOM_USERS.c
_CLOCKS_DIFFER = timedelta(minutes=1)


def store(
    connection: Connection,
    *,
    user_id: str,
    account_id: str,
    access_token: str,
    refresh_token: str,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Store the tokens of a user who installed the app, in place of older ones."""
    values: dict[str, Any] = {
        "account_id": account_id,
        "access_token": access_token,
        "refresh_token": refresh_token,
        "expires_at": expires_at,
        "must_install_again": False,
        "last_error": None,
        "installed_at": now,
        "refreshed_at": None,
        "leased_until": None,  # what is refreshed now is of the older tokens
        "lease_owner": None,
    }
    statement = insert_into(connection, ZOOM_USERS).values(zoom_user_id=user_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[_U.zoom_user_id], set_=values)
    )


def delete(connection: Connection, user_id: str, *, until: datetime | None = None) -> bool:
    """Delete a user's tokens. Return whether there were any.

    Args:
        until: when the user removed the app; a later installation stays.
    """
    statement = ZOOM_USERS.delete().where(_U.zoom_user_id == user_id)
    if until is not None:
        statement = statement.where(_U.installed_at <= until + _CLOCKS_DIFFER)
    return connection.execute(statement).rowcount > 0
