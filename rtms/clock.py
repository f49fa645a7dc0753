"""The current time, and Zoom's timestamps."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def from_milliseconds(event_ts: int) -> datetime:
    """Return the time of one of Zoom's timestamps (milliseconds since the epoch)."""
    return datetime.fromtimestamp(event_ts / 1000, UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return a time as one of Zoom's timestamps (milliseconds since the epoch)."""
    return int(moment.timestamp() * 1000)
