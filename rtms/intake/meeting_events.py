"""Apply an event about a meeting rather than one of its streams."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE, LIVE_OF_A_USER
from rtms.intake.meeting_names import MeetingName
from rtms.intake.results import Arrival, IntakeResult
from rtms.stream_requests import causes, lookups, requests
from rtms.zoom.meanings import (
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    MeetingEnded,
    MeetingStarted,
    RequestStatus,
)


def begin_meeting(
    connection: Connection, config: Config, event: MeetingStarted, arrival: Arrival
) -> IntakeResult:
    """Name the live streams of a meeting, and plan to ask for one if none comes. Later streams are
    named when they start."""
    named = MeetingName(topic=event.topic, host_id=event.host_id).columns()
    # A field it leaves out keeps its value, such as a topic from Recall. `id` keeps the statement
    # valid where it leaves out all of them.
    given = {name: value for name, value in named.items() if value is not None}
    row_id = connection.scalar(
        CONNECTS.update()
        .where(CONNECTS.c.meeting_uuid == event.meeting_uuid, sa.text(LIVE_OF_A_USER))
        .values({"id": CONNECTS.c.id, **given})
        .returning(CONNECTS.c.id)
    )
    note = ""
    if causes.ask_for_missing(connection, config, event, now=arrival.received_at):
        note = "; Zoom is asked for a stream if none comes by itself"
        if config.start_streams == "always":
            note = "; Zoom is asked for a stream"
    return IntakeResult(
        outcome="accepted",
        detail=f"the meeting began; its streams are shown with its topic and host{note}",
        level="debug",
        row_id=row_id,
    )


def end_meeting(connection: Connection, event: MeetingEnded) -> IntakeResult:
    """Withdraw the requests for streams of a meeting that is over."""
    withdrawn = requests.withdraw_meeting(
        connection,
        meeting_uuid=event.meeting_uuid,
        meeting_id=event.meeting_id,
        why="The meeting has ended.",
    )
    note = "; Zoom is no longer asked for its stream" if withdrawn else ""
    return IntakeResult(outcome="accepted", detail=f"the meeting ended{note}", level="debug")


def show_request(connection: Connection, event: RequestStatus) -> IntakeResult:
    """Find the stream that a request's answer is about: a live one, or a lost one that Zoom is
    asked for."""
    named = [
        CONNECTS.c[name] == value
        for name in ("rtms_stream_id", "meeting_uuid", "meeting_id")
        if (value := getattr(event, name))
    ]
    row = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id)
        .where(sa.text(LIVE), sa.or_(sa.false(), *named))
        .order_by(CONNECTS.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        row = lookups.lost_row_of(
            connection, meeting_uuid=event.meeting_uuid, meeting_id=event.meeting_id
        )
    return IntakeResult(
        outcome="accepted",
        detail="the host answered a request to start a stream; the event's payload says how",
        stream=row.rtms_stream_id if row else event.rtms_stream_id,
        row_id=row.id if row else None,
    )


def warn_near_limit(event: ConcurrencyNearLimit) -> IntakeResult:
    """Return a warning with what Zoom said about its limit of streams at once."""
    if event.number is None or event.limit is None:
        share = "" if event.percentage is None else f": {event.percentage} % are in use"
        detail = f"the account is close to the number of streams that Zoom allows at once{share}"
    else:
        detail = (
            f"{event.number} of the {event.limit} streams that Zoom allows this account at once "
            f"are in use{_in_brackets(event.percentage, ' %')}"
        )
    return IntakeResult(outcome="accepted", detail=detail, level="warning")


def report_limit(event: ConcurrencyLimited) -> IntakeResult:
    """Return an error that says for which meeting Zoom started no stream."""
    named = event.meeting_uuid is not None
    which = f"meeting {event.meeting_uuid}" if named else "a meeting that it does not name"
    return IntakeResult(
        outcome="accepted",
        detail=f"Zoom started no stream for {which}: the account has as many as Zoom allows at "
        f"once{_in_brackets(event.number)}. Ask Zoom for more, or stop streams that are not needed",
        level="error",
    )


def _in_brackets(number: int | None, unit: str = "") -> str:
    return "" if number is None else f" ({number}{unit})"
