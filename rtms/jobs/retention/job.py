"""Deleting what is over and old: meetings with all that belongs to them, and the raw record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS
from rtms import clock
from rtms.db.database import Database
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.names import JobName
from rtms.jobs.retention.deletion import Old, delete_events, delete_meetings, old_events, over

# Zoom delivers again up to 85 minutes later, and the record is what tells a second delivery from a
# first.
LEAST_AGE = timedelta(days=1)
_LEAST_REST, _LONGEST_REST = 0.05, 2.0  # seconds between two steps
_TRIES = 5  # for a step, where others were writing all the time
_WAIT = 1.0  # seconds before the next try
_LOOK_AGAIN = 3600.0  # seconds
_AFTER_TROUBLE = 60.0  # seconds

log = structlog.get_logger()


def count_old(database: Database, before: datetime, *, archives: bool = False) -> Old:
    """How many meetings came before a moment: those that are over, and those that are not.

    Args:
        archives: whether recordings are archived (ARCHIVE_URL): then a meeting is not over while
            one of its recordings is still to be.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    over_count = sa.func.count().filter(over(archives))
    with database.read() as connection:
        total, ended = connection.execute(
            sa.select(sa.func.count(), over_count).where(CONNECTS.c.received_at < before)
        ).one()
    return Old(meetings=ended, open=total - ended)


def prune_meetings(
    database: Database,
    before: datetime,
    tell: Callable[[Old], None] = lambda _: None,
    *,
    archives: bool = False,
) -> Old:
    """Delete meetings that are over and came before a moment, with their recordings' rows, tries,
    notifications and deliveries. No open meeting is touched, and nothing at Recall or in the
    archive.

    Args:
        tell: is told after each step how much was deleted so far.
        archives: as in `count_old`.

    Raises:
        DatabaseUnavailable: the database does not answer; what was told is deleted.
    """
    return _in_steps(
        database, lambda connection: delete_meetings(connection, before, archives), tell
    )


def prune_events(
    database: Database, before: datetime, tell: Callable[[Old], None] = lambda _: None
) -> Old:
    """Delete events that came before a moment from the raw record. Meetings stay.

    Args:
        tell: is told after each step how much was deleted so far.

    Raises:
        DatabaseUnavailable: the database does not answer; what was told is deleted.
    """
    which = old_events(before, of_open_meetings=True)
    return _in_steps(database, lambda connection: delete_events(connection, which), tell)


class RetentionJob:
    """RETENTION_DAYS: an hourly look for what is too old. Each job is one step, so that a process
    can leave in between."""

    name = JobName.RETENTION
    threads = 1

    def __init__(self, database: Database, config: Config) -> None:
        assert config.retention_days
        self._database = database
        self._age = timedelta(days=config.retention_days)
        self._archives = config.archive_url is not None
        self._look_at = time.monotonic()
        self._deleted = Old()

    def next_due(self) -> datetime:
        return clock.now() + timedelta(seconds=max(self._look_at - time.monotonic(), 0.0))

    def lease(self, limit: int) -> Sequence[datetime]:
        return [clock.now() - self._age] if time.monotonic() >= self._look_at else []

    def work(self, job: datetime) -> None:
        began = time.monotonic()
        try:
            step = self._step(job)
        except DatabaseUnavailable as error:
            self._look_at = time.monotonic() + _AFTER_TROUBLE
            log.warning("could not delete what is old; trying again in a minute", error=str(error))
            return
        if step is not None:
            self._deleted += step
            self._look_at = time.monotonic() + _rest_after(began)
            return
        self._look_at = time.monotonic() + _LOOK_AGAIN
        if self._deleted != Old():
            log.info(
                "deleted what is older than RETENTION_DAYS",
                meetings=self._deleted.meetings,
                events=self._deleted.events,
            )
        self._deleted = Old()

    def _step(self, before: datetime) -> Old | None:
        step = self._database.write(lambda c: delete_meetings(c, before, self._archives))
        if step is not None:
            return step
        which = old_events(before, of_open_meetings=False)
        return self._database.write(lambda connection: delete_events(connection, which))

    def hand_back(self, jobs: Sequence[datetime]) -> None:
        """Nobody waits for it: the next look finds what is left."""


def _in_steps(
    database: Database,
    delete: Callable[[Connection], Old | None],
    tell: Callable[[Old], None],
) -> Old:
    deleted, began = Old(), time.monotonic()
    while (step := _step_in_the_end(database, delete, deleted)) is not None:
        deleted += step
        tell(deleted)
        time.sleep(_rest_after(began))
        began = time.monotonic()
    return deleted


def _step_in_the_end(
    database: Database, delete: Callable[[Connection], Old | None], deleted: Old
) -> Old | None:
    """Delete a step's rows, at a later try where others kept the database busy: they go first.

    Args:
        deleted: what earlier steps deleted.

    Returns:
        How much; None where nothing was left to delete.
    """
    for _ in range(_TRIES - 1):
        try:
            return database.write(delete)
        except DatabaseUnavailable:
            time.sleep(_WAIT)
    try:
        return database.write(delete)
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(
            f"Gave up after {_TRIES} tries: {error}. Until then {deleted.meetings:,} meetings and "
            f"{deleted.events:,} events were deleted. Run the command again to delete the rest."
        ) from error


def _rest_after(began: float) -> float:
    """Seconds for others to write in, after a step that began at this `time.monotonic()`."""
    return min(max(time.monotonic() - began, _LEAST_REST), _LONGEST_REST)
