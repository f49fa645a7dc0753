"""Store, change and delete the rows of users who installed the app.

Statements for use inside a transaction. Tokens are given and returned encrypted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from models import ZOOM_USERS
from rtms.db.engines import insert_into

_U = ZOOM_USERS.c


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
