"""The job that sends notifications to the user's own code."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask
from sqlalchemy.engine import Connection

from config import Config
from models import Listener
from rtms import clock
from rtms.backoff import exponential
from rtms.db.database import Database
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.names import JobName
from rtms.jobs.notify.outbox import QUEUE, NotificationToSend
from rtms.jobs.notify.transports import NotSent, Signals, SignedPost, Transport
from rtms.logs import about, meeting_of
from rtms.queue.queue_job import QueueJob

_THREADS = 4
_LEASE_SECONDS = 60.0  # longer than a post takes; a slower receiver is called again
_FIRST_WAIT = 5.0  # seconds; doubled with every try
_LONGEST_WAIT = 3600.0  # seconds
_GIVE_UP_AFTER = timedelta(hours=24)

log = structlog.get_logger()


def next_try(
    *, attempts: int, created_at: datetime, now: datetime, passes: bool = True
) -> datetime | None:
    """Return when to send a notification again; None when it was tried long enough.

    Args:
        attempts: the tries so far.
        passes: whether the error may pass by itself. What a person has to fix is tried rarely.
    """
    seconds = exponential(attempts, first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    wait = timedelta(seconds=seconds if passes else _LONGEST_WAIT)
    return now + wait if now + wait <= created_at + _GIVE_UP_AFTER else None


class NotifyJob(QueueJob[NotificationToSend]):
    """Sends notifications until their listener accepts them, for a day."""

    name = JobName.NOTIFY
    threads = _THREADS

    def __init__(self, app: Flask, database: Database, config: Config) -> None:
        super().__init__(database, QUEUE, lease_seconds=_LEASE_SECONDS)
        self._transports: dict[str, Transport] = {
            Listener.SIGNALS: Signals(app, database),
            Listener.NOTIFY_URL: SignedPost(database, config),
        }

    def work(self, row: NotificationToSend) -> None:
        """Send a notification, and record the outcome."""
        try:
            self._transports[row.listener].send(row)
        except NotSent as error:
            self._record(row, str(error), passes=error.passes)
        except DatabaseUnavailable:
            raise  # the lease expires, and it is sent again
        except Exception as error:
            log.exception("a notification was not sent", notification=row.event, id=row.id)
            self._record(row, f"Sending failed unexpectedly ({type(error).__name__}).")
        else:
            self._record(row, None)

    def _record(self, row: NotificationToSend, error: str | None, *, passes: bool = True) -> None:
        now, attempts = clock.now(), row.attempts + 1
        due_at = None
        if error:
            due_at = next_try(attempts=attempts, created_at=row.created_at, now=now, passes=passes)

        def write(connection: Connection) -> Any:
            QUEUE.record(
                connection,
                row,
                attempts=attempts,
                last_error=error,
                due_at=due_at,
                told_at=None if error else now,
            )
            return meeting_of(connection, row.meeting_direct_connect_id)

        meeting = self.database.write(write)
        where = about(meeting, notification=row.event, listener=row.listener)
        if error and due_at:
            write_log = where.debug if row.attempts else where.warning  # warn once
            write_log("not notified yet", error=error, next_try=due_at)
        elif error:
            where.error("not notified, and given up after a day", error=error)
        else:
            where.debug("notified")
