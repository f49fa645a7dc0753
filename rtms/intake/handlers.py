"""Apply one Zoom event to the tables, inside a transaction."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from config import Config
from rtms.intake.interruptions import apply_interruption
from rtms.intake.meeting_events import name_meeting, show_request
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.starts import apply_start
from rtms.intake.stops import apply_stop
from rtms.zoom.meanings import (
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    Interrupted,
    Meaning,
    MeetingStarted,
    RequestStatus,
    Started,
    Stopped,
)


def apply(
    connection: Connection, config: Config, meaning: Meaning, arrival: Arrival
) -> IntakeResult:
    """Apply an event. The caller serializes on the names that `names_of` returns."""
    match meaning:
        case Started():
            return apply_start(connection, config, meaning, arrival)
        case Stopped():
            return apply_stop(connection, config, meaning, arrival)
        case Interrupted():
            return apply_interruption(connection, config, meaning, arrival)
        case MeetingStarted():
            return name_meeting(connection, meaning)
        case RequestStatus():
            return show_request(connection, meaning)
        case ConcurrencyNearLimit():
            return IntakeResult(outcome="accepted", detail=_near_limit(meaning), level="warning")
        case ConcurrencyLimited():
            return IntakeResult(
                outcome="accepted",
                detail=f"Zoom started no stream for {_which(meaning.meeting_uuid)}: the account "
                f"has as many as Zoom allows at once{_in_brackets(meaning.number)}. Ask Zoom for "
                "more, or stop streams that are not needed",
                level="error",
            )
        case _:
            return IntakeResult(outcome="unknown", detail="the server does not handle this event")


def _near_limit(event: ConcurrencyNearLimit) -> str:
    """Return what Zoom said about its limit of streams at once."""
    if event.number is None or event.limit is None:
        share = "" if event.percentage is None else f": {event.percentage} % are in use"
        return f"the account is close to the number of streams that Zoom allows at once{share}"
    share = _in_brackets(event.percentage, " %")
    return (
        f"{event.number} of the {event.limit} streams that Zoom allows this account at once are "
        f"in use{share}"
    )


def _which(meeting_uuid: str | None) -> str:
    return "a meeting that it does not name" if meeting_uuid is None else f"meeting {meeting_uuid}"


def _in_brackets(number: int | None, unit: str = "") -> str:
    return "" if number is None else f" ({number}{unit})"


def names_of(meaning: Meaning) -> list[str]:
    """Return the names to serialize an event on. A start must see a stop that arrived before it, a
    stop must see its start, and both must see their meeting's name and live streams. On PostgreSQL,
    constraints alone cannot guarantee that."""
    names = []
    if isinstance(meaning, Started | Stopped | Interrupted):
        names.append(f"stream:{meaning.rtms_stream_id}")
    start = meaning.rejoin if isinstance(meaning, Interrupted) else meaning
    if isinstance(start, Started | MeetingStarted):
        names.append(f"meeting:{start.meeting_uuid}")
    return names
