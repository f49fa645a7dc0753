"""Statements that find and anonymise what the tables hold of a user."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, NOTIFICATIONS, RECORDINGS, STREAM_REQUESTS, State
from rtms.db.database import AnyRow

ERASED = "erased: its user removed the app"
_FOLLOWED = (State.CONNECTED, State.ENDED)  # while they are due


def meetings_of(connection: Connection, user_id: str, until: datetime) -> Sequence[AnyRow]:
    """Return the rows of a user: the user's own streams, and those of meetings that the user hosts.

    Args:
        until: leave out what came later, after the user added the app again.
    """
    c = CONNECTS.c
    return connection.execute(
        sa.select(c.id, c.state, c.due_at, c.rtms_stream_id, c.meeting_uuid)
        .where(sa.or_(c.operator_id == user_id, c.host_id == user_id), c.received_at <= until)
        .order_by(c.id)
    ).all()


def are_over(rows: Sequence[AnyRow]) -> bool:
    """Return whether Recall makes no more recordings of these rows."""
    return not any(
        row.state == State.PENDING or (row.state in _FOLLOWED and row.due_at is not None)
        for row in rows
    )


def recordings_of(connection: Connection, ids: Sequence[int]) -> Sequence[AnyRow]:
    """Return the recordings of these rows, with `connected_at` of their meeting."""
    return connection.execute(
        sa.select(RECORDINGS, CONNECTS.c.connected_at)
        .join(CONNECTS, CONNECTS.c.id == RECORDINGS.c.meeting_direct_connect_id)
        .where(CONNECTS.c.id.in_(ids))
        .order_by(RECORDINGS.c.id)
    ).all()


def stop_archiving(connection: Connection, ids: Sequence[int]) -> None:
    """Take these recordings from the queue of the archive, also one that is being stored."""
    connection.execute(
        RECORDINGS.update()
        .where(RECORDINGS.c.id.in_(ids))
        .values(
            archive_due_at=None,
            archive_error=ERASED,
            # Its status keeps it from being queued again.
            status="deleted",
            media={},
            lease_owner=None,
            leased_until=None,
        )
    )


def anonymise(
    connection: Connection, user_id: str, rows: Sequence[AnyRow], until: datetime
) -> Counter[str]:
    """Remove a user from every table.

    Args:
        rows: of `meetings_of`.
        until: as there.

    Returns:
        How many rows of each kind were changed.
    """
    ids = [row.id for row in rows]
    counts: Counter[str] = Counter()
    counts["events"] = _empty_events(connection, user_id, rows, until)
    counts["notifications"] = connection.execute(
        NOTIFICATIONS.delete().where(NOTIFICATIONS.c.meeting_direct_connect_id.in_(ids))
    ).rowcount
    counts["recordings"] = connection.execute(
        RECORDINGS.update()
        .where(RECORDINGS.c.meeting_direct_connect_id.in_(ids))
        .values(status="deleted", media={}, archived_at=None, archived_media=None)
    ).rowcount
    counts["requests"] = connection.execute(
        STREAM_REQUESTS.update()
        .where(STREAM_REQUESTS.c.operator_id == user_id, STREAM_REQUESTS.c.due_at.is_(None))
        .values(operator_id="", last_error=None)
    ).rowcount
    counts["meetings"] = connection.execute(
        CONNECTS.update()
        .where(CONNECTS.c.id.in_(ids))
        .values(
            operator_id=None,
            host_id=None,
            topic=None,
            topic_search=None,
            recall_id=None,  # Recall is not asked about it again
            due_at=None,
            lease_owner=None,
            leased_until=None,
        )
    ).rowcount
    return counts


def _empty_events(
    connection: Connection, user_id: str, rows: Sequence[AnyRow], until: datetime
) -> int:
    """Remove the payload of the events of these rows and their meetings, and of all others that
    name the user."""
    c = EVENTS.c
    quoted = json.dumps(user_id)  # a whole value, as JSON has it
    text = sa.cast(c.payload, sa.Text)
    position = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    meetings = {row.meeting_uuid for row in rows}
    names_user = sa.and_(position(text, quoted) > 0, c.received_at <= until)
    streams = {row.rtms_stream_id for row in rows}
    return connection.execute(
        EVENTS.update()
        .where(sa.or_(names_user, c.rtms_stream_id.in_(streams), c.meeting_uuid.in_(meetings)))
        .values(
            payload={},
            rtms_stream_id=None,
            meeting_uuid=None,
            meeting_id=None,
            tracking_id=None,
            outcome=ERASED,
        )
    ).rowcount
