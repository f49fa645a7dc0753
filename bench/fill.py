"""Fills the tables with a long history of meetings that are over."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.databases import sqlite_file

Row = tuple[Any, ...]

_CONNECTS = (
    "rtms_stream_id", "meeting_uuid", "meeting_id", "product", "operator_id", "server_urls",
    "event_ts", "tracking_id", "state", "reason", "recall_id", "status", "attempts", "last_error",
    "connect_by", "idempotency_key", "received_at", "connected_at", "stopped_at", "stop_reason",
)  # fmt: skip
_EVENTS = (
    "source", "event", "event_ts", "dedupe_key", "rtms_stream_id", "tracking_id", "payload",
    "received_at", "outcome",
)  # fmt: skip
# How meetings end, in percent.
_ENDS: dict[tuple[str, str | None], int] = {
    ("done", None): 94,
    ("ended", None): 1,
    ("failed", "window_expired"): 2,
    ("failed", "recall_failed"): 1,
    ("skipped", "stopped_first"): 2,
}
_EVERY = timedelta(seconds=31)  # from one meeting to the next: a million in a year
_DURATION = timedelta(minutes=40)
_TRACKING = "v=2.0;clid=us04;rid=WEB_0123456789abcdef"
_BATCH = 50_000


def fill(url: str, count: int, report: Callable[[int], None]) -> None:
    """Put this many meetings, with two deliveries each, into an empty database. ``report`` is
    called before each batch with the number of meetings so far."""
    for at in range(0, count, _BATCH):
        report(at)
        numbers = range(at, min(at + _BATCH, count))
        meetings = [_Past(number, count - number) for number in numbers]
        connects = (each.connect() for each in meetings)
        events = (row for each in meetings for row in each.events())
        if url.startswith("sqlite"):
            _into_sqlite(url, connects, events)
        else:
            _into_postgresql(url, connects, events)
    if url.startswith("sqlite"):
        with sqlite3.connect(sqlite_file(url)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:  # as autovacuum would have done long ago
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("VACUUM ANALYZE")


class _Past:
    """A meeting that is over: most were recorded, some failed, some were over at once."""

    def __init__(self, number: int, ago: int) -> None:
        draw = random.Random(number)
        self.stream = f"{draw.getrandbits(128):032x}"
        self.uuid = base64.b64encode(draw.randbytes(16)).decode()
        self.operator = base64.urlsafe_b64encode(draw.randbytes(16)).decode()[:22]
        self.recall_id = str(uuid.UUID(int=draw.getrandbits(128)))
        self.key = str(uuid.UUID(int=draw.getrandbits(128)))
        self.meeting_id = str(80_000_000_000 + draw.randrange(9_000_000_000))
        self.urls = f"wss://rtms-{draw.getrandbits(24):06x}.zoom.example:443"
        self.began = datetime.now(UTC) - timedelta(days=2) - ago * _EVERY
        self.ended = self.began + _DURATION
        self.state, self.reason = draw.choices(list(_ENDS), list(_ENDS.values()))[0]

    def connect(self) -> Row:
        has_id = self.state in ("done", "ended") or self.reason == "recall_failed"
        received = self.began + timedelta(seconds=0.3)
        return (
            self.stream, self.uuid, self.meeting_id, "meeting", self.operator, self.urls,
            _milliseconds(self.began), _TRACKING, self.state, self.reason,
            self.recall_id if has_id else None, "done" if has_id else None, 1,
            None if has_id else "No answer from Recall: the connection was refused.",
            _text(self.began + timedelta(seconds=60)), self.key, _text(received),
            _text(received + timedelta(seconds=0.4)) if has_id else None, _text(self.ended), 6,
        )  # fmt: skip

    def events(self) -> Iterator[Row]:
        ids = {"meeting_uuid": self.uuid, "rtms_stream_id": self.stream}
        more = {"operator_id": self.operator, "server_urls": self.urls}
        yield self._event("meeting.rtms_started", self.began, ids | more)
        yield self._event("meeting.rtms_stopped", self.ended, ids | {"stop_reason": 6})

    def _event(self, name: str, at: datetime, payload: dict[str, Any]) -> Row:
        event_ts = _milliseconds(at)
        body = {"event": name, "event_ts": event_ts, "payload": payload}
        return (
            "zoom", name, event_ts, f"{name}:{self.stream}:{event_ts}", self.stream, _TRACKING,
            json.dumps(body), _text(at + timedelta(seconds=0.3)), "accepted",
        )  # fmt: skip


def _into_sqlite(url: str, connects: Iterator[Row], events: Iterator[Row]) -> None:
    with sqlite3.connect(sqlite_file(url)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")  # 500 MB
        for table, columns, rows in _tables(connects, events):
            marks = ", ".join("?" * len(columns))
            into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            connection.executemany(into, rows)
    connection.close()


def _into_postgresql(url: str, connects: Iterator[Row], events: Iterator[Row]) -> None:
    with psycopg.connect(url) as server, server.cursor() as cursor:
        for table, columns, rows in _tables(connects, events):
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row([f"{each}Z" if _is_time(each) else each for each in row])


def _tables(
    connects: Iterator[Row], events: Iterator[Row]
) -> tuple[tuple[str, tuple[str, ...], Iterator[Row]], ...]:
    return (
        ("meeting_direct_connects", _CONNECTS, connects),
        ("webhook_events", _EVENTS, events),
    )


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class _Time(str):
    __slots__ = ()


def _text(at: datetime) -> _Time:
    """Format a time as SQLAlchemy writes it to SQLite."""
    return _Time(at.strftime("%Y-%m-%d %H:%M:%S.%f"))


def _is_time(value: object) -> bool:
    return isinstance(value, _Time)
