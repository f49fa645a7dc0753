"""What a start and a stop write into `meeting_direct_connects`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from config import Config
from models import State
from rtms import clock
from rtms.intake.connect_window import window_closes_at
from rtms.intake.meeting_names import MeetingName
from rtms.intake.results import Arrival
from rtms.intake.start_rules import Verdict
from rtms.recall.idempotency import new_key
from rtms.zoom.meanings import Started, Stopped

NEW_ROW_COLUMNS = (
    *(field.name for field in fields(Started)),
    *MeetingName().columns(),
    "tracking_id",
    "state",
    "reason",
    "last_error",
    "attempts",
    "meeting_slot",
    "due_at",
    "connect_by",
    "idempotency_key",
    "received_at",
)


def new_row(
    config: Config,
    start: Started,
    verdict: Verdict,
    arrival: Arrival,
    named: MeetingName | None = None,
) -> dict[str, Any]:
    """Return a start's row of `meeting_direct_connects`, without its id.

    Args:
        named: its meeting's name, if known.
    """
    return {
        **vars(start),
        "tracking_id": arrival.tracking_id,
        **(named or MeetingName()).columns(),
        "state": State.SKIPPED if verdict.skip else State.PENDING,
        "reason": verdict.skip,
        "last_error": verdict.detail if verdict.skip else None,
        "attempts": 0,
        "meeting_slot": start.meeting_uuid if config.record_streams == "first" else None,
        "due_at": None if verdict.skip else arrival.received_at,
        "connect_by": window_closes_at(
            start.event_ts, arrival, seconds=config.connect_window_seconds
        ),
        "idempotency_key": new_key(),
        "received_at": arrival.received_at,
    }


def stop_columns(stop: Stopped) -> dict[str, Any]:
    """Return a stop as columns."""
    return {
        "stopped_at": clock.from_milliseconds(stop.event_ts),
        "stop_reason": stop.stop_reason,
    }
