"""Apply one Zoom event to the tables, inside a transaction."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from config import Config
from rtms.intake.deauthorization import deauthorize
from rtms.intake.interruptions import apply_interruption
from rtms.intake.meeting_events import (
    begin_meeting,
    end_meeting,
    report_limit,
    show_request,
    warn_near_limit,
)
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.starts import apply_start
from rtms.intake.stops import apply_stop
from rtms.zoom import meanings
from rtms.zoom.meanings import Meaning


def apply(
    connection: Connection, config: Config, meaning: Meaning, arrival: Arrival
) -> IntakeResult:
    """Apply an event. The caller serializes on the names that `names_of` returns."""
    match meaning:
        case meanings.Started():
            return apply_start(connection, config, meaning, arrival)
        case meanings.Stopped():
            return apply_stop(connection, config, meaning, arrival)
        case meanings.Interrupted():
            return apply_interruption(connection, config, meaning, arrival)
        case meanings.MeetingStarted():
            return begin_meeting(connection, config, meaning, arrival)
        case meanings.MeetingEnded():
            return end_meeting(connection, meaning)
        case meanings.RequestStatus():
            return show_request(connection, meaning)
        case meanings.Deauthorized():
            return deauthorize(connection, meaning, arrival)
        case meanings.ConcurrencyNearLimit():
            return warn_near_limit(meaning)
        case meanings.ConcurrencyLimited():
            return report_limit(meaning)
        case meanings.Unknown():
            return IntakeResult(outcome="unknown", detail="the server does not handle this event")


def names_of(meaning: Meaning) -> list[str]:
    """Return the names to serialize an event on. A start must see a stop that arrived before it, a
    stop must see its start, and both must see their meeting's name and live streams. On PostgreSQL,
    constraints alone cannot guarantee that."""
    names = []
    if isinstance(meaning, meanings.StreamEvent):
        names.append(f"stream:{meaning.rtms_stream_id}")
    start = meaning.rejoin if isinstance(meaning, meanings.Interrupted) else meaning
    if isinstance(start, meanings.Started | meanings.MeetingStarted | meanings.MeetingEnded):
        names.append(f"meeting:{start.meeting_uuid}")
    return names
