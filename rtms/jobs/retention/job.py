"""Delete old meetings and events: the job for RETENTION_DAYS, and the commands that prune."""

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
from rtms.jobs.retention.deletion import Old, delete_events, delete_meetings, is_over, old_events

# Zoom redelivers for up to 85 minutes, and only a recorded event reveals a redelivery.
LEAST_AGE = timedelta(days=1)
_LEAST_REST, _LONGEST_REST = 0.05, 2.0  # seconds between two steps
_TRIES = 5  # of a step, while other writers keep the database busy
_WAIT = 1.0  # seconds before the next try
_EVERY = 3600.0  # seconds
_AFTER_AN_ERROR = 60.0  # seconds

log = structlog.get_logger()


def count_old(database: Database, before: datetime, *, archives: bool = False) -> Old:
    """Count the meetings older than a moment: those that are over, and those that are not.

    Args:
        archives: whether recordings are archived (ARCHIVE_URL): then a meeting is not over before
            its recordings are.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    over_count = sa.func.count().filter(is_over(archives))
    with database.read() as connection:
        total, ended = connection.execute(
            sa.select(sa.func.count(), over_count).where(CONNECTS.c.received_at < before)
        ).one()
    return Old(meetings=ended, open=total - ended)


def prune_meetings(
    database: Database,
    before: datetime,
    report: Callable[[Old], None] = lambda _: None,
    *,
    archives: bool = False,
) -> Old:
    """Delete meetings that are over and older than a moment, with their recordings' rows, tries,
    notifications and deliveries. Open meetings, Recall and the archive are not touched.

    Args:
        report: called after each step with how much was deleted so far.
        archives: as in `count_old`.

    Raises:
        DatabaseUnavailable: the database does not answer; what was reported is deleted.
    """
    return _in_steps(
        database, lambda connection: delete_meetings(connection, before, archives), report
    )


def prune_events(
    database: Database, before: datetime, report: Callable[[Old], None] = lambda _: None
) -> Old:
    """Delete events older than a moment. Meetings stay.

    Args:
        report: called after each step with how much was deleted so far.

    Raises:
        DatabaseUnavailable: the database does not answer; what was reported is deleted.
    """
    which = old_events(before, of_open_meetings=True)
    return _in_steps(database, lambda connection: delete_events(connection, which), report)


class RetentionJob:
    """Deletes what is older than RETENTION_DAYS, every hour. Each unit of work is one step, so that
    a process can stop between steps."""

    name = JobName.RETENTION
    threads = 1

    def __init__(self, database: Database, config: Config) -> None:
        assert config.retention_days
        self._database = database
        self._age = timedelta(days=config.retention_days)
        self._archives = config.archive_url is not None
        self._due_at = time.monotonic()
        self._deleted = Old()

    def next_due(self) -> datetime:
        return clock.now() + timedelta(seconds=max(self._due_at - time.monotonic(), 0.0))

    def lease(self, limit: int) -> Sequence[datetime]:
        return [clock.now() - self._age] if time.monotonic() >= self._due_at else []

    def work(self, before: datetime) -> None:
        began = time.monotonic()
        try:
            step = self._step(before)
        except DatabaseUnavailable as error:
            self._due_at = time.monotonic() + _AFTER_AN_ERROR
            log.warning("could not delete what is old; trying again in a minute", error=str(error))
            return
        if step is not None:
            self._deleted += step
            self._due_at = time.monotonic() + _rest_after(began)
            return
        self._due_at = time.monotonic() + _EVERY
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

    def hand_back(self, steps: Sequence[datetime]) -> None:
        """Do nothing: nothing is leased, and the next run deletes what is left."""


def _in_steps(
    database: Database, delete: Callable[[Connection], Old | None], report: Callable[[Old], None]
) -> Old:
    deleted, began = Old(), time.monotonic()
    while (step := _step_with_retries(database, delete, deleted)) is not None:
        deleted += step
        report(deleted)
        time.sleep(_rest_after(began))
        began = time.monotonic()
    return deleted


def _step_with_retries(
    database: Database, delete: Callable[[Connection], Old | None], deleted: Old
) -> Old | None:
    """Delete one step's rows, and retry while other writers keep the database busy.

    Args:
        deleted: what earlier steps deleted.

    Returns:
        How much was deleted; None where nothing was left.
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
    """Return the seconds to leave to other writers, after a step that began at this monotonic
    time."""
    return min(max(time.monotonic() - began, _LEAST_REST), _LONGEST_REST)
