"""What is over, and the statements that delete it with all that belongs to it, a step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, NOTIFICATIONS, RECORDINGS
from rtms import clock
from rtms.jobs.archive.eligibility import is_to_be_kept

# Rows a transaction. On SQLite every delivery waits for it, on PostgreSQL hardly one.
_AT_ONCE = {"sqlite": 100, "postgresql": 500}


@dataclass(frozen=True, kw_only=True)
class Old:
    """How much is old, or was deleted."""

    meetings: int = 0
    events: int = 0
    open: int = 0  # meetings that are as old, and stay

    def __add__(self, other: Old) -> Old:
        return Old(
            meetings=self.meetings + other.meetings,
            events=self.events + other.events,
            open=self.open + other.open,
        )


def over(archives: bool) -> sa.ColumnElement[bool]:
    """Nobody wants anything of a meeting any more: neither a lane nor a person who waits for a
    file.

    Args:
        archives: whether recordings are archived (ARCHIVE_URL).
    """
    its_recordings = RECORDINGS.c.meeting_direct_connect_id == CONNECTS.c.id
    its_notifications = NOTIFICATIONS.c.meeting_direct_connect_id == CONNECTS.c.id
    waits_for = is_to_be_kept(clock.now()) if archives else sa.false()
    wanted = sa.or_(RECORDINGS.c.archive_due_at.is_not(None), waits_for)
    return sa.and_(
        CONNECTS.c.state.not_in(("pending", "connected")),
        CONNECTS.c.due_at.is_(None),
        CONNECTS.c.leased_until.is_(None),
        sa.not_(sa.exists().where(its_recordings, wanted)),
        sa.not_(sa.exists().where(its_notifications, NOTIFICATIONS.c.due_at.is_not(None))),
    )


def delete_meetings(connection: Connection, before: datetime, archives: bool) -> Old | None:
    """Delete some meetings that are over and came before a moment, oldest first, with all that the
    tables have of them.

    Args:
        archives: whether recordings are archived, and to wait for that.

    Returns:
        How much was deleted; None where nothing was left to choose.
    """
    older = CONNECTS.alias("older")
    chosen = connection.scalars(
        sa.select(CONNECTS.c.id)
        .where(
            CONNECTS.c.received_at < before,
            over(archives),
            # The row that it took the place of goes first.
            sa.not_(sa.exists().where(older.c.superseded_by == CONNECTS.c.id)),
        )
        .order_by(CONNECTS.c.received_at)
        .limit(_AT_ONCE[connection.dialect.name])
        .with_for_update(skip_locked=True, of=CONNECTS)
    ).all()
    if not chosen:
        return None
    # PostgreSQL chose by what had been committed before. Now that nobody else can change these or
    # their recordings, it looks again.
    connection.execute(
        sa.select(RECORDINGS.c.id)
        .where(RECORDINGS.c.meeting_direct_connect_id.in_(chosen))
        .order_by(RECORDINGS.c.id)
        .with_for_update()
    ).all()
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id).where(
            CONNECTS.c.id.in_(chosen), over(archives)
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


def old_events(before: datetime, *, of_open_meetings: bool) -> list[sa.ColumnElement[bool]]:
    """Which events came before a moment.

    Args:
        of_open_meetings: whether those count, too, whose stream still has a row.
    """
    which = [EVENTS.c.received_at < before]
    if not of_open_meetings:
        has_a_row = CONNECTS.c.rtms_stream_id == EVENTS.c.rtms_stream_id
        which.append(sa.not_(sa.exists().where(has_a_row)))
    return which


def delete_events(connection: Connection, which: Sequence[sa.ColumnElement[bool]]) -> Old | None:
    """Delete some of the events that meet these conditions, oldest first.

    Returns:
        How much was deleted; None where nothing was left to choose.
    """
    chosen = connection.scalars(
        sa.select(EVENTS.c.id)
        .where(*which)
        .order_by(EVENTS.c.received_at)
        .limit(_AT_ONCE[connection.dialect.name])
        .with_for_update(skip_locked=True, of=EVENTS)  # another may be pruning, too
    ).all()
    if not chosen:
        return None
    deleted = connection.execute(EVENTS.delete().where(EVENTS.c.id.in_(chosen)))
    return Old(events=deleted.rowcount)
