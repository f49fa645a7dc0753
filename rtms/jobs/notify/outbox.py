"""The queue of notifications to send, each written in the transaction of the change it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from config import Config
from models import NOTIFICATIONS, UNSENT, Happening, Listener, State
from rtms.queue.leases import Leased, Queue

# The event that a meeting's new state causes.
_EVENTS: dict[str, Happening] = {
    State.CONNECTED: Happening.STREAM_CONNECTED,
    State.ENDED: Happening.STREAM_CONNECTED,  # and stopped since
    State.FAILED: Happening.STREAM_FAILED,
}


@dataclass(frozen=True, kw_only=True)
class NotificationToSend(Leased):
    """A notification to send."""

    event: str
    listener: str
    meeting_direct_connect_id: int
    recording_id: int | None
    created_at: datetime
    attempts: int


QUEUE = Queue(
    NotificationToSend,
    table=NOTIFICATIONS,
    predicate=UNSENT,
    due_at=NOTIFICATIONS.c.due_at,
    order_by=NOTIFICATIONS.c.due_at,
    index="ix_notifications_due",
)


def listeners(config: Config) -> tuple[Listener, ...]:
    """Return the listeners that are configured."""
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
    """Enqueue a notification for each listener, in the transaction of the change.

    Args:
        to: the listeners, see `listeners`.
        id: the meeting.
        recording_id: the recording, if it is about one.
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


def put_state(
    connection: Connection, to: tuple[Listener, ...], id: int, state: str, *, now: datetime
) -> None:
    """Enqueue the notifications of a meeting's new state, if it has an event.

    Args:
        to: the listeners, see `listeners`.
        id: the meeting.
    """
    event = _EVENTS.get(state)
    if event:
        put(connection, to, event, id, now=now)
