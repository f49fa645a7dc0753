"""After an outage of this server: look at the streams that were live when it began.

Their stops may have been delivered to nobody. Recall is asked about each of them at once, and Zoom
for a new stream where the stream is gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, PROCESSES, RequestCause, State
from rtms.states import JOINING, LONGEST_MEETING
from rtms.stream_requests.requests import open_request

_TIME_TO_ASK_RECALL = timedelta(seconds=2)


def was_down(connection: Connection, *, started_at: datetime, window: timedelta) -> bool:
    """Return whether no process lived in the window before this one started. A delivery that was
    recorded then is a sign of life, too, because a process that is stopped deletes its row.

    Args:
        started_at: when this process started.
        window: CONNECT_WINDOW_SECONDS.
    """
    since = started_at - window
    p, e = PROCESSES.c, EVENTS.c
    lived = sa.exists().where(p.started_at < since, p.seen_at >= since)
    recorded = sa.exists().where(e.received_at >= since, e.received_at < started_at)
    return not connection.scalar(sa.select(sa.or_(lived, recorded)))


def look_at_live_streams(
    connection: Connection, *, started_at: datetime, now: datetime
) -> list[int]:
    """Make the streams that were connected before this process started due at Recall, and open a
    request to Zoom for each, which is sent only where the stream is gone.

    Returns:
        Their rows.
    """
    c = CONNECTS.c
    rows = connection.execute(
        sa.select(c.id, c.meeting_id, c.meeting_uuid, c.account_id, c.operator_id)
        .where(
            c.state == State.CONNECTED,
            c.stopped_at.is_(None),
            c.meeting_id.is_not(None),
            c.connected_at < started_at,
            c.received_at > now - LONGEST_MEETING,
        )
        .order_by(c.id)
        .with_for_update()
    ).all()
    for row in rows:
        connection.execute(CONNECTS.update().where(c.id == row.id).values(due_at=now))
        open_request(
            connection,
            cause=RequestCause.OUTAGE,
            meeting_id=row.meeting_id,
            meeting_uuid=row.meeting_uuid,
            account_id=row.account_id,
            operator_id=row.operator_id,
            replaces=row.id,
            now=now,
            due_at=now + _TIME_TO_ASK_RECALL,
        )
    return [row.id for row in rows]


def is_known_to_be_live(connection: Connection, id: int, *, now: datetime) -> bool:
    """Return whether Recall has said, since a row was made due, that it records the stream."""
    c = CONNECTS.c
    known = sa.exists().where(
        c.id == id,
        c.due_at > now,
        c.leased_until.is_(None),
        c.last_error.is_(None),
        sa.or_(c.status.is_(None), c.status.not_in(JOINING)),
    )
    return bool(connection.scalar(sa.select(known)))
