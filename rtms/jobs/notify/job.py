"""Telling the user's own code: the lane that sends signals and posts to NOTIFY_URL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import Connection
from standardwebhooks import Webhook

from config import Config
from models import CONNECTS, NOTIFICATIONS, RECORDINGS, Listener, MeetingDirectConnect, Recording
from rtms import clock, signals
from rtms.cli.tables import as_json
from rtms.db.database import Database
from rtms.jobs.notify import message as told
from rtms.logs import about, meeting_of
from rtms.queue import leases
from rtms.queue.leases import Telling
from rtms.recall.http import NETWORK_ERRORS, CannotBeSent, Session, in_words

NOTIFY_LANE = "notify"
_THREADS = 4
_LEASE_SECONDS = 60.0  # longer than a post takes; a receiver that takes longer is called again
_TIMEOUT = 10.0  # seconds to connect, and again for each read
_FIRST_WAIT = 5.0  # seconds; doubled with every try
_LONGEST_WAIT = 3600.0  # seconds
_GIVE_UP_AFTER = timedelta(hours=24)


def next_telling(
    *, attempts: int, created_at: datetime, now: datetime, passes: bool = True
) -> datetime | None:
    """When to tell again what could not be told; None when it was tried long enough.

    Args:
        attempts: the tries so far.
        passes: whether the trouble may pass by itself. What somebody has to mend is tried seldom.
    """
    seconds = min(_FIRST_WAIT * 2 ** min(attempts - 1, 20), _LONGEST_WAIT)
    wait = timedelta(seconds=seconds if passes else _LONGEST_WAIT)
    return now + wait if now + wait <= created_at + _GIVE_UP_AFTER else None


class NotTold(Exception):
    """The listener did not take it. The message says why."""

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes  # False: not before somebody mends what the message names


class NotifyLane:
    """Notifications, and how they are told."""

    name = NOTIFY_LANE
    threads = _THREADS

    def __init__(self, app: Flask, database: Database, config: Config) -> None:
        self._app = app
        self._database = database
        self._url = config.notify_url
        self._webhook = Webhook(config.notify_secret) if config.notify_secret else None

    def next_due(self) -> datetime | None:
        with self._database.read() as connection:
            return leases.next_due(connection, Telling)

    def lease(self, limit: int) -> Sequence[Telling]:
        owner = leases.new_owner()
        return self._database.write(
            lambda connection: leases.claim(
                connection,
                Telling,
                limit=limit,
                owner=owner,
                now=clock.now(),
                seconds=_LEASE_SECONDS,
            )
        )

    def work(self, job: Telling) -> None:
        error, passes = None, True
        try:
            if job.listener == Listener.SIGNALS:
                self._signal(job)
            else:
                self._post(job)
        except NotTold as trouble:
            error, passes = str(trouble), trouble.passes
        except Exception as trouble:
            # The user's code, not ours: whatever it raises stops nothing here.
            with self._database.read() as connection:
                where = about(meeting_of(connection, job.meeting_direct_connect_id))
            where.exception("a subscriber raised", signal=job.event)
            error = f"A subscriber of {job.event} raised {type(trouble).__name__}."
        self._settle(job, error, passes=passes)

    def hand_back(self, jobs: Sequence[Telling]) -> None:
        self._database.write(lambda connection: leases.hand_back(connection, jobs, now=clock.now()))

    def _signal(self, job: Telling) -> None:
        with self._database.session() as session:
            meeting = session.get_one(MeetingDirectConnect, job.meeting_direct_connect_id)
            recording = session.get(Recording, job.recording_id) if job.recording_id else None
            session.expunge_all()
        with self._app.app_context():
            getattr(signals, job.event).send(self._app, meeting=meeting, recording=recording)

    def _post(self, job: Telling) -> None:
        if not self._url or not self._webhook:
            raise NotTold("NOTIFY_URL is not set any more.")
        message_id, body = self._message(job)
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
            raise NotTold(f"NOTIFY_URL was not called: {error}.", passes=False) from None
        except NETWORK_ERRORS as error:
            raise NotTold(f"NOTIFY_URL did not answer: {in_words(error)}.") from None
        if not 200 <= status < 300:
            raise NotTold(f"NOTIFY_URL answered {status}, not 2xx.")

    def _message(self, job: Telling) -> tuple[str, str]:
        """Return the message's id, the same in every repetition, and its body."""
        with self._database.read() as connection:
            meeting = connection.execute(
                sa.select(CONNECTS).where(CONNECTS.c.id == job.meeting_direct_connect_id)
            ).one()
            recording = connection.execute(
                sa.select(RECORDINGS).where(RECORDINGS.c.id == job.recording_id)
            ).one_or_none()
        message_id = told.message_id(
            notification_id=job.id,
            event=job.event,
            created_at=job.created_at,
            rtms_stream_id=meeting.rtms_stream_id,
            received_at=meeting.received_at,
            recall_recording_id=recording.recall_recording_id if recording else None,
        )
        about_it = dict(recording._mapping) if recording else None
        body = told.body(job.event, job.created_at, dict(meeting._mapping), about_it)
        return message_id, json.dumps(body, default=as_json)

    def _settle(self, job: Telling, error: str | None, *, passes: bool) -> None:
        now, attempts = clock.now(), job.attempts + 1
        due_at = None
        if error:
            due_at = next_telling(
                attempts=attempts, created_at=job.created_at, now=now, passes=passes
            )
        change: dict[str, Any] = {
            "attempts": attempts,
            "last_error": error,
            "due_at": due_at,
            "told_at": None if error else now,
            "lease_owner": None,
            "leased_until": None,
        }

        def write(connection: Connection) -> Any:
            connection.execute(
                NOTIFICATIONS.update()
                .where(NOTIFICATIONS.c.id == job.id, NOTIFICATIONS.c.lease_owner == job.lease_owner)
                .values(change)
            )
            return meeting_of(connection, job.meeting_direct_connect_id)

        where = about(self._database.write(write), told=job.event, listener=job.listener)
        if error and due_at:
            tell = where.debug if job.attempts else where.warning  # the first says it all
            tell("not told yet", error=error, next_try=due_at)
        elif error:
            where.error("not told, and given up after a day", error=error)
        else:
            where.debug("told")
