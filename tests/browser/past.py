"""A day of meetings that are over, as a database has them."""

from __future__ import annotations

import base64
import random
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import ATTEMPTS, CONNECTS, EVENTS, RECORDINGS
from rtms import clock
from rtms.db.database import Database
from rtms.text import search_text
from sandbox import Stream, events

COUNT = 90
_ENDS: tuple[tuple[str, str | None, int], ...] = (
    ("done", None, 80),
    ("failed", "window_expired", 4),
    ("failed", "recall_failed", 3),
    ("skipped", "stopped_first", 8),
    ("skipped", "unsupported", 5),
)
_WHY = {
    "window_expired": "Recall answered 503: the service is not available.",
    "recall_failed": "Recall reports that the recording failed: zoom_rtms_connection_lost.",
    "stopped_first": "The stream was over before it was connected: the meeting ended.",
    "unsupported": "A Video SDK session is signed with the Video SDK's key and secret.",
}
_REFUSAL = 'Recall answered 400. {"zoom_rtms": {"server_urls": ["Enter a valid URL."]}}'
_TOPICS = (
    "Weekly design review",
    "Überblick: Q3",
    "週次定例会議",
    "All hands",
    None,
    None,
    "Customer interview: how the onboarding of larger teams goes in practice",
)


def put_in_a_day(database: Database) -> int:
    """Put meetings of the last 24 hours into an empty database; the last one was refused.

    Returns:
        The row of that one.
    """
    draw = random.Random(7)
    now = clock.now()
    ages = sorted((draw.uniform(0.3, 24) for _ in range(COUNT)), reverse=True)

    def write(connection: Connection) -> int:
        for age in ages:
            state, reason, _ = draw.choices(_ENDS, [weight for *_, weight in _ENDS])[0]
            _put_in(connection, draw, now - timedelta(hours=age), state, reason)
        return _put_in(connection, draw, now - timedelta(minutes=9), "failed", "refused")

    return database.write(write)


def lengthen(database: Database, id: int, length: timedelta) -> None:
    """Make a meeting that is over have begun so long before: one of the tests lasts a second, and
    the stand-in's video takes longer."""
    c = CONNECTS.c

    def write(connection: Connection) -> None:
        row = connection.execute(CONNECTS.select().where(c.id == id)).one()
        began = {
            "received_at": row.received_at - length,
            "connected_at": row.connected_at - length,
            "event_ts": row.event_ts - length // timedelta(milliseconds=1),
        }
        connection.execute(CONNECTS.update().where(c.id == id).values(began))
        for event in connection.execute(
            EVENTS.select().where(
                sa.or_(
                    EVENTS.c.meeting_uuid == row.meeting_uuid,
                    EVENTS.c.rtms_stream_id == row.rtms_stream_id,
                )
            )
        ):
            if event.event.endswith("started"):
                earlier = length
            elif event.event.endswith("interrupted"):
                earlier = length / 2
            else:
                continue
            moved = {
                "received_at": event.received_at - earlier,
                "event_ts": event.event_ts
                and event.event_ts - earlier // timedelta(milliseconds=1),
                "sent_at": event.sent_at - earlier,
            }
            connection.execute(EVENTS.update().where(EVENTS.c.id == event.id).values(moved))

    database.write(write)


def _put_in(
    connection: Connection, draw: random.Random, at: datetime, state: str, reason: str | None
) -> int:
    stream = Stream(
        product="session" if reason == "unsupported" else "meeting",
        meeting_id=draw.randrange(81_000_000_000, 89_000_000_000),
        meeting_uuid=base64.b64encode(draw.randbytes(16)).decode(),
        rtms_stream_id=f"{draw.getrandbits(128):032x}",
        operator_id=base64.urlsafe_b64encode(draw.randbytes(16)).decode()[:22],
        server_urls=f"wss://rtms-{draw.getrandbits(24):06x}.zoom.example:443",
    )
    event_ts = int(at.timestamp() * 1000)
    connected = state == "done" or reason == "recall_failed"
    took = timedelta(seconds=draw.choice([0.4, 0.6, 0.8, 0.9, 1.2, 1.4, 2.5, 4.1, 8.8, 17.0]))
    error = _WHY.get(reason or "") or (_REFUSAL if reason else None)
    topic = draw.choice(_TOPICS) if stream.product == "meeting" else None
    id: int = connection.execute(
        CONNECTS.insert()
        .values(
            rtms_stream_id=stream.rtms_stream_id,
            meeting_uuid=stream.meeting_uuid,
            meeting_id=str(stream.meeting_id) if stream.product == "meeting" else None,
            product=stream.product,
            topic=topic,
            topic_search=topic and search_text(topic),
            host_id="KDcuGIm1QgePTO8WbOqwIQ" if topic else None,
            account_id="AAAAAABBBBCCCCDDDD",
            operator_id=stream.operator_id,
            server_urls=stream.server_urls,
            event_ts=event_ts,
            tracking_id="v=2.0;clid=us04;rid=WEB_0123456789abcdef",
            state=state,
            reason=reason,
            recall_id=f"08d6f032-0c5d-4c53-b4c6-{draw.getrandbits(48):012x}" if connected else None,
            status="done" if connected else None,
            attempts=0 if state == "skipped" else 1,
            last_error=error,
            connect_by=at + timedelta(seconds=60),
            idempotency_key=f"{draw.getrandbits(128):032x}",
            received_at=at,
            connected_at=at + took if connected else None,
            stopped_at=at + timedelta(minutes=draw.randrange(3, 9)),
            stop_reason=6,
        )
        .returning(CONNECTS.c.id)
    ).scalar_one()
    body: dict[str, Any] = (
        events.session_started(stream, event_ts=event_ts)
        if stream.product == "session"
        else events.started(stream, event_ts=event_ts)
    )
    connection.execute(
        EVENTS.insert().values(
            source="zoom",
            event=body["event"],
            event_ts=event_ts,
            dedupe_key=f"{event_ts}:{body['event']}:{stream.rtms_stream_id}",
            rtms_stream_id=stream.rtms_stream_id,
            tracking_id="v=2.0;clid=us04;rid=WEB_0123456789abcdef",
            payload=body,
            received_at=at,
            outcome="accepted: skipped" if reason == "unsupported" else "accepted: to be connected",
        )
    )
    if reason in ("refused", "window_expired"):
        _put_in_tries(connection, id, at, error, tries=1 if reason == "refused" else 4)
    if state == "done":
        connection.execute(
            RECORDINGS.insert().values(
                meeting_direct_connect_id=id,
                recall_recording_id=f"1f1c7c1e-0000-4000-8000-{draw.getrandbits(48):012x}",
                status="done",
                started_at=at + took,
                completed_at=at + timedelta(minutes=40),
                expires_at=at + timedelta(days=7),
                media={"video_mixed": "done", "transcript": "done"},
            )
        )
    return id


def _put_in_tries(
    connection: Connection, id: int, at: datetime, error: str | None, *, tries: int
) -> None:
    for number in range(tries):
        moment = at + timedelta(seconds=1 + 14 * number)
        last = number == tries - 1
        connection.execute(
            ATTEMPTS.insert().values(
                meeting_direct_connect_id=id,
                at=moment,
                outcome="refused" if tries == 1 else "unknown",
                error=error,
                next_try_at=None if last else moment + timedelta(seconds=14),
            )
        )
