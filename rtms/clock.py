"""The time, in one place."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def from_milliseconds(event_ts: int) -> datetime:
    """The moment of one of Zoom's timestamps (milliseconds since epoch)."""
    return datetime.fromtimestamp(event_ts / 1000, UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return a moment as Zoom writes it: milliseconds since epoch."""
    return int(moment.timestamp() * 1000)
