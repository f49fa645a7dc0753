"""Statements that delete old meetings, with all that belongs to them, and old events, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, NOTIFICATIONS, RECORDINGS, STREAM_REQUESTS
from rtms import clock
from rtms.jobs.archive.eligibility import is_to_be_kept

# Rows a transaction. On SQLite every delivery waits for it, on PostgreSQL hardly any.
_ROWS_A_STEP = {"sqlite": 100, "postgresql": 500}


@dataclass(frozen=True, kw_only=True)
class Old:
    """How many meetings and events are old, or were deleted."""

    meetings: int = 0
    events: int = 0
    open: int = 0  # old meetings that are kept because they are not over

    def __add__(self, other: Old) -> Old:
        return Old(
            meetings=self.meetings + other.meetings,
            events=self.events + other.events,
            open=self.open + other.open,
        )


def is_over(archives: bool) -> sa.ColumnElement[bool]:
    """Return the condition that no job has anything left to do for a meeting.

    Args:
        archives: whether recordings are archived (ARCHIVE_URL).
    """
    of_meeting = RECORDINGS.c.meeting_direct_connect_id == CONNECTS.c.id
    notifies_of_meeting = NOTIFICATIONS.c.meeting_direct_connect_id == CONNECTS.c.id
    never_tried = is_to_be_kept(clock.now()) if archives else sa.false()
    to_archive = sa.or_(RECORDINGS.c.archive_due_at.is_not(None), never_tried)
    return sa.and_(
        CONNECTS.c.state.not_in(("pending", "connected")),
        CONNECTS.c.due_at.is_(None),
        CONNECTS.c.leased_until.is_(None),
        sa.not_(sa.exists().where(of_meeting, to_archive)),
        sa.not_(sa.exists().where(notifies_of_meeting, NOTIFICATIONS.c.due_at.is_not(None))),
    )


def delete_meetings(connection: Connection, before: datetime, archives: bool) -> Old | None:
    """Delete one step of the meetings that are over and older than a moment, oldest first, with
    their rows in all tables.

    Args:
        archives: whether recordings are archived (ARCHIVE_URL): wait for that.

    Returns:
        How much was deleted; None where nothing is left to delete.
    """
    requests = _delete_requests(connection, before)
    older = CONNECTS.alias("older")
    chosen = connection.scalars(
        sa.select(CONNECTS.c.id)
        .where(
            CONNECTS.c.received_at < before,
            is_over(archives),
            # A row that it replaced is deleted first.
            sa.not_(sa.exists().where(older.c.superseded_by == CONNECTS.c.id)),
            sa.not_(sa.exists().where(older.c.restarted_as == CONNECTS.c.id)),
        )
        .order_by(CONNECTS.c.received_at)
        .limit(_ROWS_A_STEP[connection.dialect.name])
        .with_for_update(skip_locked=True, of=CONNECTS)
    ).all()
    if not chosen:
        return Old() if requests else None
    # PostgreSQL chose from a snapshot. Check again now that the rows and recordings are locked.
    connection.execute(
        sa.select(RECORDINGS.c.id)
        .where(RECORDINGS.c.meeting_direct_connect_id.in_(chosen))
        .order_by(RECORDINGS.c.id)
        .with_for_update()
    ).all()
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id).where(
            CONNECTS.c.id.in_(chosen), is_over(archives)
        )
    ).all()
    connection.execute(CONNECTS.delete().where(CONNECTS.c.id.in_([row.id for row in rows])))
    left = sa.exists().where(CONNECTS.c.rtms_stream_id == EVENTS.c.rtms_stream_id)
    events = connection.execute(
        EVENTS.delete().where(
            EVENTS.c.rtms_stream_id.in_({row.rtms_stream_id for row in rows}), sa.not_(left)
        )
    )
    return Old(meetings=len(rows), events=events.rowcount)


def _delete_requests(connection: Connection, before: datetime) -> int:
    """Delete one step of the closed requests to Zoom that are older than a moment, and return how
    many there were."""
    c = STREAM_REQUESTS.c
    old = (
        sa.select(c.id)
        .where(c.created_at < before, c.due_at.is_(None))
        .order_by(c.created_at)
        .limit(_ROWS_A_STEP[connection.dialect.name])
    )
    return connection.execute(STREAM_REQUESTS.delete().where(c.id.in_(old))).rowcount


def old_events(before: datetime, *, of_open_meetings: bool) -> list[sa.ColumnElement[bool]]:
    """Return the conditions for events older than a moment.

    Args:
        of_open_meetings: whether to include events whose stream still has a row.
    """
    which = [EVENTS.c.received_at < before]
    if not of_open_meetings:
        has_a_row = CONNECTS.c.rtms_stream_id == EVENTS.c.rtms_stream_id
        which.append(sa.not_(sa.exists().where(has_a_row)))
    return which


def delete_events(connection: Connection, which: Sequence[sa.ColumnElement[bool]]) -> Old | None:
    """Delete one step of the events that meet the conditions, oldest first.

    Returns:
        How much was deleted; None where nothing is left to delete.
    """
    chosen = connection.scalars(
        sa.select(EVENTS.c.id)
        .where(*which)
        .order_by(EVENTS.c.received_at)
        .limit(_ROWS_A_STEP[connection.dialect.name])
        .with_for_update(skip_locked=True, of=EVENTS)  # another process may be pruning too
    ).all()
    if not chosen:
        return None
    deleted = connection.execute(EVENTS.delete().where(EVENTS.c.id.in_(chosen)))
    return Old(events=deleted.rowcount)
