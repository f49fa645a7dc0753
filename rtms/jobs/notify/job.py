"""Notifying the user's own code: the job that sends signals and posts to NOTIFY_URL."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import Connection
from standardwebhooks import Webhook

from config import Config
from models import CONNECTS, RECORDINGS, Listener, MeetingDirectConnect, Recording
from rtms import clock, signals
from rtms.backoff import exponential
from rtms.db.database import Database
from rtms.jobs.names import JobName
from rtms.jobs.notify import message
from rtms.jobs.notify.outbox import QUEUE, Notification
from rtms.logs import about, meeting_of
from rtms.queue.queue_job import QueueJob
from rtms.recall.http import NETWORK_ERRORS, CannotBeSent, Session, network_error_text
from rtms.rows import as_json

_THREADS = 4
_LEASE_SECONDS = 60.0  # longer than a post takes; a receiver that takes longer is called again
_TIMEOUT = 10.0  # seconds to connect, and again for each read
_FIRST_WAIT = 5.0  # seconds; doubled with every try
_LONGEST_WAIT = 3600.0  # seconds
_GIVE_UP_AFTER = timedelta(hours=24)


def next_try(
    *, attempts: int, created_at: datetime, now: datetime, passes: bool = True
) -> datetime | None:
    """Return when to send again what could not be sent; None when it was tried long enough.

    Args:
        attempts: the tries so far.
        passes: whether the trouble may pass by itself. What a person has to fix is tried seldom.
    """
    seconds = exponential(attempts, first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    wait = timedelta(seconds=seconds if passes else _LONGEST_WAIT)
    return now + wait if now + wait <= created_at + _GIVE_UP_AFTER else None


class NotSent(Exception):
    """The listener did not take it. The message says why."""

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes  # False: not before a person fixes what the message names


class NotifyJob(QueueJob[Notification]):
    """Notifications, and how they are sent."""

    name = JobName.NOTIFY
    threads = _THREADS

    def __init__(self, app: Flask, database: Database, config: Config) -> None:
        super().__init__(database, QUEUE, lease_seconds=_LEASE_SECONDS)
        self._app = app
        self._url = config.notify_url
        self._webhook = Webhook(config.notify_secret) if config.notify_secret else None

    def work(self, row: Notification) -> None:
        error, passes = None, True
        try:
            if row.listener == Listener.SIGNALS:
                self._signal(row)
            else:
                self._post(row)
        except NotSent as trouble:
            error, passes = str(trouble), trouble.passes
        except Exception as trouble:
            # The user's code, not ours: whatever it raises stops nothing here.
            with self.database.read() as connection:
                where = about(meeting_of(connection, row.meeting_direct_connect_id))
            where.exception("a subscriber raised", signal=row.event)
            error = f"A subscriber of {row.event} raised {type(trouble).__name__}."
        self._record(row, error, passes=passes)

    def _signal(self, row: Notification) -> None:
        with self.database.session() as session:
            meeting = session.get_one(MeetingDirectConnect, row.meeting_direct_connect_id)
            recording = session.get(Recording, row.recording_id) if row.recording_id else None
            session.expunge_all()
        with self._app.app_context():
            getattr(signals, row.event).send(self._app, meeting=meeting, recording=recording)

    def _post(self, row: Notification) -> None:
        if not self._url or not self._webhook:
            raise NotSent("NOTIFY_URL is not set any more.")
        message_id, body = self._message(row)
        moment = clock.now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, moment, body),
        }
        try:
            with (
                Session() as session,
                session.post(
                    self._url,
                    data=body.encode(),
                    headers=headers,
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                    stream=True,  # its body does not matter, however long
                ) as answer,
            ):
                status = answer.status_code
        except CannotBeSent as error:
            raise NotSent(f"NOTIFY_URL was not called: {error}.", passes=False) from None
        except NETWORK_ERRORS as error:
            raise NotSent(f"NOTIFY_URL did not answer: {network_error_text(error)}.") from None
        if not 200 <= status < 300:
            raise NotSent(f"NOTIFY_URL answered {status}, not 2xx.")

    def _message(self, row: Notification) -> tuple[str, str]:
        """Return the message's id, the same in every repetition, and its body."""
        with self.database.read() as connection:
            meeting = connection.execute(
                sa.select(CONNECTS).where(CONNECTS.c.id == row.meeting_direct_connect_id)
            ).one()
            recording = connection.execute(
                sa.select(RECORDINGS).where(RECORDINGS.c.id == row.recording_id)
            ).one_or_none()
        message_id = message.message_id(
            notification_id=row.id,
            event=row.event,
            created_at=row.created_at,
            rtms_stream_id=meeting.rtms_stream_id,
            received_at=meeting.received_at,
            recall_recording_id=recording.recall_recording_id if recording else None,
        )
        about_it = dict(recording._mapping) if recording else None
        body = message.body(row.event, row.created_at, dict(meeting._mapping), about_it)
        return message_id, json.dumps(body, default=as_json)

    def _record(self, row: Notification, error: str | None, *, passes: bool) -> None:
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
            log = where.debug if row.attempts else where.warning  # the first says it all
            log("not notified yet", error=error, next_try=due_at)
        elif error:
            where.error("not notified, and given up after a day", error=error)
        else:
            where.debug("notified")
