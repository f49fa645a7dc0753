"""Deleting what is over and old: meetings with all that belongs to them, and the raw record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, NOTIFICATIONS, RECORDINGS
from rtms import clock
from rtms.database import Database

RETENTION_LANE = "retention"
# Zoom delivers again up to 85 minutes later, and the record is what tells a second delivery from a
# first.
LEAST_AGE = timedelta(days=1)
_AT_ONCE = 500  # rows a transaction, so that no delivery waits long for it
_LOOK_AGAIN = 3600.0  # seconds

log = structlog.get_logger()


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


def count_old(database: Database, before: datetime) -> Old:
    """How many meetings came before a moment: those that are over, and those that are not.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    over = sa.func.count().filter(_over())
    with database.read() as connection:
        total, ended = connection.execute(
            sa.select(sa.func.count(), over).where(CONNECTS.c.received_at < before)
        ).one()
    return Old(meetings=ended, open=total - ended)


def prune_meetings(
    database: Database, before: datetime, tell: Callable[[Old], None] = lambda _: None
) -> Old:
    """Delete meetings that are over and came before a moment, with their recordings' rows, tries,
    notifications and deliveries. No open meeting is touched, and nothing at Recall or in the
    archive.

    Args:
        tell: is told after each step how much was deleted so far.

    Raises:
        DatabaseUnavailable: the database does not answer; what was told is deleted.
    """
    return _in_steps(database, lambda connection: _delete_meetings(connection, before), tell)


def prune_events(
    database: Database, before: datetime, tell: Callable[[Old], None] = lambda _: None
) -> Old:
    """Delete events that came before a moment from the raw record. Meetings stay.

    Args:
        tell: is told after each step how much was deleted so far.

    Raises:
        DatabaseUnavailable: the database does not answer; what was told is deleted.
    """
    which = _old_events(before, of_open_meetings=True)
    return _in_steps(database, lambda connection: _delete_events(connection, which), tell)


class RetentionLane:
    """RETENTION_DAYS: an hourly look for what is too old. Each job is one step, so that a process
    can leave in between."""

    name = RETENTION_LANE
    threads = 1

    def __init__(self, database: Database, config: Config) -> None:
        assert config.retention_days
        self._database = database
        self._age = timedelta(days=config.retention_days)
        self._look_at = time.monotonic()
        self._deleted = Old()

    def next_due(self) -> datetime:
        return clock.now() + timedelta(seconds=max(self._look_at - time.monotonic(), 0.0))

    def lease(self, limit: int) -> Sequence[datetime]:
        return [clock.now() - self._age] if time.monotonic() >= self._look_at else []

    def work(self, job: datetime) -> None:
        step = self._database.write(lambda connection: _delete_meetings(connection, job))
        if step == Old():
            which = _old_events(job, of_open_meetings=False)
            step = self._database.write(lambda connection: _delete_events(connection, which))
        self._deleted += step
        if step != Old():
            return
        self._look_at = time.monotonic() + _LOOK_AGAIN
        if self._deleted != Old():
            log.info(
                "deleted what is older than RETENTION_DAYS",
                meetings=self._deleted.meetings,
                events=self._deleted.events,
            )
        self._deleted = Old()

    def hand_back(self, jobs: Sequence[datetime]) -> None:
        """Nobody waits for it: the next look finds what is left."""


def _in_steps(
    database: Database, delete: Callable[[Connection], Old], tell: Callable[[Old], None]
) -> Old:
    deleted = Old()
    while (step := database.write(delete)) != Old():
        deleted += step
        tell(deleted)
    return deleted


def _over() -> sa.ColumnElement[bool]:
    """Nobody wants anything of it any more: neither a lane nor a person who waits for a file."""
    its_recordings = RECORDINGS.c.meeting_direct_connect_id == CONNECTS.c.id
    its_notifications = NOTIFICATIONS.c.meeting_direct_connect_id == CONNECTS.c.id
    return sa.and_(
        CONNECTS.c.state.not_in(("pending", "connected")),
        CONNECTS.c.due_at.is_(None),
        CONNECTS.c.leased_until.is_(None),
        sa.not_(sa.exists().where(its_recordings, RECORDINGS.c.archive_due_at.is_not(None))),
        sa.not_(sa.exists().where(its_notifications, NOTIFICATIONS.c.due_at.is_not(None))),
    )


def _delete_meetings(connection: Connection, before: datetime) -> Old:
    older = CONNECTS.alias("older")
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id)
        .where(
            CONNECTS.c.received_at < before,
            _over(),
            # The row that it took the place of goes first.
            sa.not_(sa.exists().where(older.c.superseded_by == CONNECTS.c.id)),
        )
        .order_by(CONNECTS.c.received_at)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True, of=CONNECTS)
    ).all()
    if not rows:
        return Old()
    connection.execute(CONNECTS.delete().where(CONNECTS.c.id.in_([row.id for row in rows])))
    left = sa.exists().where(CONNECTS.c.rtms_stream_id == EVENTS.c.rtms_stream_id)
    events = connection.execute(
        EVENTS.delete().where(
            EVENTS.c.rtms_stream_id.in_({row.rtms_stream_id for row in rows}),
            EVENTS.c.received_at < before,
            sa.not_(left),
        )
    )
    return Old(meetings=len(rows), events=events.rowcount)


def _old_events(before: datetime, *, of_open_meetings: bool) -> list[sa.ColumnElement[bool]]:
    which = [EVENTS.c.received_at < before]
    if not of_open_meetings:
        has_a_row = CONNECTS.c.rtms_stream_id == EVENTS.c.rtms_stream_id
        which.append(sa.not_(sa.exists().where(has_a_row)))
    return which


def _delete_events(connection: Connection, which: Sequence[sa.ColumnElement[bool]]) -> Old:
    chosen = sa.select(EVENTS.c.id).where(*which).order_by(EVENTS.c.received_at).limit(_AT_ONCE)
    deleted = connection.execute(EVENTS.delete().where(EVENTS.c.id.in_(chosen)))
    return Old(events=deleted.rowcount)
