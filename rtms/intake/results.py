"""What an event was about and when it came, and the outcome of taking it in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from rtms import clock
from rtms.db.database import AnyRow


@dataclass(frozen=True, kw_only=True)
class IntakeResult:
    """The outcome of a delivery."""

    outcome: str  # accepted, duplicate, ignored, unknown or rejected
    detail: str  # why, in words
    level: str = "info"  # of its log line
    stream: str | None = None
    row_id: int | None = None
    is_due: bool = False  # whether the row is to be connected now

    @property
    def recorded(self) -> str:
        """The outcome as `webhook_events` stores it."""
        return f"{self.outcome}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """When an event arrived, and its tracking id at Zoom."""

    received_at: datetime  # by our clock
    sent_at: datetime | None  # by Zoom's clock; None in rows of older versions
    tracking_id: str | None

    @classmethod
    def of_event(cls, event: AnyRow) -> Arrival:
        """Return the arrival of a row of `webhook_events`."""
        return cls(
            received_at=event.received_at, sent_at=event.sent_at, tracking_id=event.tracking_id
        )

    @property
    def sent_ts(self) -> int:
        """When Zoom sent it, in milliseconds since epoch."""
        return clock.to_milliseconds(self.sent_at or self.received_at)

    def moved_to(self, now: datetime) -> Arrival:
        """Return the arrival as if it were now, keeping how much of the window has passed."""
        waited = now - self.received_at
        return replace(self, received_at=now, sent_at=(self.sent_at or self.received_at) + waited)
