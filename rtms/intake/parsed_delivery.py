"""A delivery, parsed before it waits for the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models import Source
from rtms.intake.results import Arrival, IntakeResult
from rtms.zoom.events import dedupe_key, parse
from rtms.zoom.fields import MalformedEvent
from rtms.zoom.meanings import (
    ConcurrencyLimited,
    Deauthorized,
    Meaning,
    MeetingEnded,
    MeetingStarted,
    RequestStatus,
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A verified delivery, parsed before it waits for the database."""

    body: dict[str, Any]
    meaning: Meaning | None
    rejected: IntakeResult | None  # why it cannot be parsed; None where it can
    dedupe_key: str
    arrival: Arrival

    @classmethod
    def of(cls, body: dict[str, Any], arrival: Arrival) -> Delivery:
        """Parse a decoded, verified body."""
        meaning, rejected = None, None
        try:
            meaning = parse(body, arrival.sent_ts)
        except MalformedEvent as error:
            rejected = IntakeResult(outcome="rejected", detail=str(error), level="error")
        key = dedupe_key(body, meaning)
        return cls(body=body, meaning=meaning, rejected=rejected, dedupe_key=key, arrival=arrival)

    def event(self, result: IntakeResult) -> dict[str, Any]:
        """Return the delivery's row of `webhook_events`. It names the meeting only if the event is
        about no stream, or about one not yet known."""
        of_meeting = isinstance(
            self.meaning, MeetingStarted | MeetingEnded | RequestStatus | ConcurrencyLimited
        )
        meeting = self.meaning if of_meeting else None
        return {
            "source": Source.ZOOM.value,
            "event": self.body["event"],
            "event_ts": getattr(self.meaning, "event_ts", None),
            "dedupe_key": self.dedupe_key,
            "rtms_stream_id": result.stream,
            "meeting_uuid": getattr(meeting, "meeting_uuid", None),
            "meeting_id": getattr(meeting, "meeting_id", None),
            "tracking_id": self.arrival.tracking_id,
            "sent_at": self.arrival.sent_at,
            "payload": self._recorded_body(),
            "received_at": self.arrival.received_at,
            "outcome": result.recorded,
        }

    def _recorded_body(self) -> dict[str, Any]:
        """Return the body as it is stored. A deauthorization's has neither the user, whom only the
        erasure names, nor a signature."""
        if not isinstance(self.meaning, Deauthorized):
            return self.body
        shown = {name: self.body["payload"].get(name) for name in _OF_A_DEAUTHORIZATION}
        return {
            "event": self.body["event"],
            "event_ts": self.body.get("event_ts"),
            "payload": shown,
        }


_OF_A_DEAUTHORIZATION = ("account_id", "deauthorization_time", "user_data_retention")
