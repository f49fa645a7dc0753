"""Apply an `app_deauthorized`: end the user's streams, and open the erasure of what is stored.

Zoom's rules ask for the erasure within ten days, unless the user allowed that the data is kept.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, ERASURES, LIVE, STREAM_REQUESTS, ErasureState, Reason, State
from rtms import clock
from rtms.db.engines import insert_into
from rtms.intake.results import Arrival, IntakeResult
from rtms.recall.polling import first_look
from rtms.stream_requests import requests
from rtms.zoom.meanings import Deauthorized
from rtms.zoom_users import rows as zoom_users

_WHY = "The user removed the app."


def deauthorize(connection: Connection, event: Deauthorized, arrival: Arrival) -> IntakeResult:
    """Delete a user's tokens, end the user's streams and requests, and open an erasure unless the
    user's data may be kept."""
    now = arrival.received_at
    removed_at = clock.from_milliseconds(event.deauthorized_ts)
    zoom_users.delete(connection, event.user_id, until=removed_at)
    _end_streams(connection, event.user_id, now)
    requests.withdraw(connection, STREAM_REQUESTS.c.operator_id == event.user_id, why=_WHY)
    if event.keeps_data:
        detail = "a user removed the app and allowed that the data is kept"
    elif open_erasure(
        connection,
        user_id=event.user_id,
        account_id=event.account_id,
        deauthorized_at=removed_at,
        now=now,
    ):
        detail = "a user removed the app; what is stored of the user is erased"
    else:
        detail = "a user removed the app; the erasure is known already"
    return IntakeResult(outcome="accepted", detail=detail)


def open_erasure(
    connection: Connection,
    *,
    user_id: str,
    now: datetime,
    account_id: str | None = None,
    deauthorized_at: datetime | None = None,
) -> int | None:
    """Open an erasure of what is stored of a user.

    Args:
        user_id: Zoom's, as in `operator_id` and `host_id`.
        deauthorized_at: when the user removed the app; by default now.

    Returns:
        Its id; None where there is one of this user and time.
    """
    statement = insert_into(connection, ERASURES).values(
        zoom_user_id=user_id,
        account_id=account_id,
        deauthorized_at=deauthorized_at or now,
        state=ErasureState.WAITING,
        attempts=0,
        requested_at=now,
        due_at=now,
        counts={},
    )
    id: int | None = connection.scalar(statement.on_conflict_do_nothing().returning(ERASURES.c.id))
    return id


def _end_streams(connection: Connection, user_id: str, now: datetime) -> None:
    """End the user's live streams: without the app, Zoom sends no more of them. Recall's recordings
    of them are followed to their end."""
    c = CONNECTS.c
    live = connection.execute(
        sa.select(c.id, c.state, c.key_used_at)
        .where(c.operator_id == user_id, sa.text(LIVE))
        .order_by(c.id)
        .with_for_update()
    ).all()
    for row in live:
        change: dict[str, object] = {"stopped_at": now}
        if row.state == State.CONNECTED:
            change |= {"state": State.ENDED, "due_at": first_look(now)}
        elif row.key_used_at is None:
            change |= {
                "state": State.SKIPPED,
                "reason": Reason.STOPPED_FIRST,
                "due_at": None,
                "last_error": f"The stream was over before it was connected: {_WHY}",
            }
        connection.execute(CONNECTS.update().where(c.id == row.id).values(change))
