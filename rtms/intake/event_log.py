"""The log of events as they arrived, each once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import EVENTS, Source
from rtms.db.engines import insert_into


def is_recorded(connection: Connection, key: str) -> bool:
    """Return whether an event of Zoom's is recorded.

    Args:
        key: `rtms.zoom.events.dedupe_key`.
    """
    recorded = sa.exists().where(EVENTS.c.source == Source.ZOOM, EVENTS.c.dedupe_key == key)
    return bool(connection.scalar(sa.select(recorded)))


def record_once(connection: Connection, event: dict[str, Any]) -> bool:
    """Record an event. Of two processes that try at the same time, only one succeeds.

    Args:
        event: a row of `webhook_events`, without its id.

    Returns:
        Whether it was new.
    """
    statement = insert_into(connection, EVENTS).values(event).on_conflict_do_nothing()
    return connection.scalar(statement.returning(EVENTS.c.id)) is not None
