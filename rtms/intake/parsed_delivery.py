"""A delivery, parsed before it waits for the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models import Source
from rtms.intake.results import Arrival, IntakeResult
from rtms.zoom.events import parse
from rtms.zoom.fields import MalformedEvent
from rtms.zoom.meanings import ConcurrencyLimited, Meaning, MeetingStarted, RequestStatus


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A verified delivery, parsed before it waits for the database."""

    body: dict[str, Any]
    meaning: Meaning | None
    rejected: IntakeResult | None  # why it cannot be parsed; None where it can
    dedupe_key: str
    arrival: Arrival

    def event(self, taken: IntakeResult) -> dict[str, Any]:
        """Return the delivery's row of `webhook_events`."""
        return {
            "source": Source.ZOOM.value,
            "event": self.body["event"],
            "event_ts": getattr(self.meaning, "event_ts", None),
            "dedupe_key": self.dedupe_key,
            "rtms_stream_id": taken.stream,
            **_meeting_of(self.meaning),
            "tracking_id": self.arrival.tracking_id,
            "sent_at": self.arrival.sent_at,
            "payload": self.body,
            "received_at": self.arrival.received_at,
            "outcome": taken.recorded,
        }


def parse_or_reject(
    body: dict[str, Any], arrival: Arrival
) -> tuple[Meaning | None, IntakeResult | None]:
    """Return a body's meaning, or why it is rejected."""
    try:
        return parse(body, arrival.sent_ts), None
    except MalformedEvent as error:
        return None, IntakeResult(outcome="rejected", detail=str(error), level="error")


def _meeting_of(meaning: Meaning | None) -> dict[str, str | None]:
    """Return the meeting of an event that is about no stream, or about one not yet known."""
    if isinstance(meaning, MeetingStarted | RequestStatus | ConcurrencyLimited):
        number = getattr(meaning, "meeting_id", None)
        return {"meeting_uuid": meaning.meeting_uuid, "meeting_id": number}
    return {"meeting_uuid": None, "meeting_id": None}
