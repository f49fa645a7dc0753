"""The ways to notify the user's own code."""

from __future__ import annotations

import json
from typing import Protocol

import sqlalchemy as sa
from flask import Flask
from standardwebhooks import Webhook

from config import Config
from models import CONNECTS, RECORDINGS, MeetingDirectConnect, Recording
from rtms import clock, signals
from rtms.db.database import Database
from rtms.http.session import NETWORK_ERRORS, CannotBeSent, Session, network_error_text
from rtms.jobs.notify import message
from rtms.jobs.notify.outbox import NotificationToSend
from rtms.logs import about, meeting_of
from rtms.restart_chain import read_chain
from rtms.rows import as_json
from rtms.stream_gap import restarts

_TIMEOUT = 10.0  # seconds to connect, and again for each read


class NotSent(Exception):
    """A listener did not accept a notification. The message says why."""

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes  # False: a person must first fix what the message names


class Transport(Protocol):
    """One way to notify."""

    def send(self, notification: NotificationToSend) -> None:
        """Send a notification, which may have been sent before.

        Raises:
            NotSent: it was not accepted.
        """


class Signals:
    """Calls the subscribers of `rtms.signals`, in this process."""

    def __init__(self, app: Flask, database: Database) -> None:
        self._app = app
        self._database = database

    def send(self, notification: NotificationToSend) -> None:
        """Call the event's subscribers, one after another."""
        with self._database.session() as session:
            meeting = session.get_one(MeetingDirectConnect, notification.meeting_direct_connect_id)
            recording = (
                session.get(Recording, notification.recording_id)
                if notification.recording_id
                else None
            )
            session.expunge_all()
        signal = getattr(signals, notification.event)
        try:
            with self._app.app_context():
                signal.send(self._app, meeting=meeting, recording=recording)
        except Exception as error:  # the user's code must not stop the job
            with self._database.read() as connection:
                where = about(meeting_of(connection, notification.meeting_direct_connect_id))
            where.exception("a subscriber raised", signal=notification.event)
            raise NotSent(
                f"A subscriber of {notification.event} raised {type(error).__name__}."
            ) from None


class SignedPost:
    """Posts to NOTIFY_URL, signed as Standard Webhooks require."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._url = config.notify_url
        self._webhook = Webhook(config.notify_secret) if config.notify_secret else None

    def send(self, notification: NotificationToSend) -> None:
        """Post the notification's body."""
        if not self._url or not self._webhook:
            raise NotSent("NOTIFY_URL is no longer set.")
        message_id, body = self._message(notification)
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
                    stream=True,  # do not read the body, which may be long
                ) as answer,
            ):
                status = answer.status_code
        except CannotBeSent as error:
            raise NotSent(f"NOTIFY_URL was not called: {error}.", passes=False) from None
        except NETWORK_ERRORS as error:
            raise NotSent(f"NOTIFY_URL did not answer: {network_error_text(error)}.") from None
        if not 200 <= status < 300:
            raise NotSent(f"NOTIFY_URL answered {status}, not 2xx.")

    def _message(self, notification: NotificationToSend) -> tuple[str, str]:
        """Return the message's id, which every retry repeats, and its body."""
        with self._database.read() as connection:
            meeting = connection.execute(
                sa.select(CONNECTS).where(CONNECTS.c.id == notification.meeting_direct_connect_id)
            ).one()
            recording = connection.execute(
                sa.select(RECORDINGS).where(RECORDINGS.c.id == notification.recording_id)
            ).one_or_none()
            chain = restarts(read_chain(connection, meeting.id), meeting.id)
        message_id = message.message_id(
            notification_id=notification.id,
            event=notification.event,
            created_at=notification.created_at,
            rtms_stream_id=meeting.rtms_stream_id,
            received_at=meeting.received_at,
            recall_recording_id=recording.recall_recording_id if recording else None,
        )
        body = message.body(
            notification.event,
            notification.created_at,
            {
                **meeting._mapping,
                "restart_of": chain.restart_of,
                "gap_seconds": chain.gap_seconds,
            },
            dict(recording._mapping) if recording else None,
        )
        return message_id, json.dumps(body, default=as_json)
