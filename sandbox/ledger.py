"""The record of the requests to the stand-in for Recall, and its answers."""

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal


@dataclass
class Entry:
    """A request. The ledger contains no control requests, API keys or links."""

    seq: int  # counts up from 1 in order of arrival
    at: float  # arrival, unix seconds
    method: str
    path: str  # without the query, which may hold a link's signature
    authorization: bool  # whether it had an Authorization header
    answered_at: float | None = None  # when the answer was decided, unix seconds
    stream_id: str | None = None  # rtms_stream_id, if known
    idempotency_key: str | None = None
    metadata: Any = None  # a create's, as sent
    status: int | Literal["reset", "hang"] | None = None  # None: not answered yet
    outcome: str = "pending"  # created, replayed, in_flight, refused, rate_limited, served,
    # unauthorized, invalid, blocked, not_found, or fault:<kind>
    fault: str | None = None  # the kind of fault that affected it
    connection_id: str | None = None  # the connection it made, or that was returned again
    connected_at: float | None = None  # when this request made it, unix seconds
    kicked_out: str | None = None  # the live connection that its connection kicked out
    range: str | None = None  # a media request's Range


class Ledger:
    """All requests in order of arrival."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._count = itertools.count(1)

    def open(self, method: str, path: str, *, authorization: bool) -> Entry:
        """Record that a request has arrived."""
        with self._lock:
            entry = Entry(next(self._count), time.time(), method, path, authorization)
            self._entries.append(entry)
            return entry

    def note(self, entry: Entry, **changes: Any) -> None:
        """Record more about a request."""
        with self._lock:
            for name, value in changes.items():
                setattr(entry, name, value)

    def entries(self) -> list[Entry]:
        """Return a copy of the entries."""
        with self._lock:
            return [replace(each) for each in self._entries]

    def clear(self) -> None:
        """Remove all entries, including those of requests in progress."""
        with self._lock:
            self._entries.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """Return the entries as JSON objects."""
        return [asdict(each) for each in self.entries()]


def summary(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Return, per stream, the creates and their outcomes.

    A stream was connected exactly once when ``created`` is 1; after a failover ``created`` counts
    one more, and ``kicked_out`` stays 0 (Zoom: a second connection kicks out the first).
    """
    streams: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.stream_id is None or entry.method != "POST":
            continue
        row = streams.setdefault(
            entry.stream_id,
            {
                "requests": 0,
                "created": 0,
                "kicked_out": 0,
                "first_request": entry.at,
                "first_created": None,
                "connection_ids": [],
                "outcomes": {},
            },
        )
        row["requests"] += 1
        row["outcomes"][entry.outcome] = row["outcomes"].get(entry.outcome, 0) + 1
        row["kicked_out"] += entry.kicked_out is not None
        if entry.connected_at is not None:
            row["created"] += 1
            row["connection_ids"].append(entry.connection_id)
            if row["first_created"] is None:
                row["first_created"] = entry.connected_at
    return streams
