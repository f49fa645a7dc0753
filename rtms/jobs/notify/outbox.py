"""What the user's own code is to be told: written down with the change it is about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from config import Config
from models import NOTIFICATIONS, Happening, Listener


def listeners(config: Config) -> tuple[Listener, ...]:
    """Who wants to be told."""
    wanted = {Listener.SIGNALS: config.extensions, Listener.NOTIFY_URL: config.notify_url}
    return tuple(listener for listener, wants in wanted.items() if wants)


def put(
    connection: Connection,
    to: tuple[Listener, ...],
    event: Happening,
    id: int,
    *,
    now: datetime,
    recording_id: int | None = None,
) -> None:
    """Note, in the transaction that makes it true, that somebody is to be told.

    Args:
        to: who, see `listeners`.
        id: the connection it is about.
        recording_id: the recording it is about, where it is about one.
    """
    for listener in to:
        connection.execute(
            NOTIFICATIONS.insert().values(
                event=event,
                listener=listener,
                meeting_direct_connect_id=id,
                recording_id=recording_id,
                created_at=now,
                due_at=now,
                attempts=0,
            )
        )
