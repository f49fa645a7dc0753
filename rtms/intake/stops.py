"""Apply an `rtms_stopped`.

One that arrives before its start only leaves its record; `start_rules` then skips the start.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, STREAM_REQUESTS, Reason, State
from rtms.intake.columns import stop_columns
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.starts import apply_start
from rtms.intake.stream_queries import later_events
from rtms.recall.polling import first_look
from rtms.stream_requests import causes, requests
from rtms.stream_requests.rules import RESTARTED_AFTER
from rtms.zoom.events import parse
from rtms.zoom.meanings import Started, Stopped
from rtms.zoom.stop_reasons import MEETING_ENDED, NOT_AUTHENTICATED, is_fault, stop_reason_text


def apply_stop(
    connection: Connection, config: Config, stop: Stopped, arrival: Arrival
) -> IntakeResult:
    """Apply a stop: end or skip its stream's rows, and start it again if it was started since."""
    ended = _end(connection, stop, arrival.received_at)
    if stop.stop_reason == MEETING_ENDED and stop.meeting_uuid:
        requests.withdraw_meeting(
            connection,
            meeting_uuid=stop.meeting_uuid,
            meeting_id=None,
            why="The meeting has ended.",
        )
    elif stop.stop_reason is not None and stop.stop_reason not in RESTARTED_AFTER:
        requests.withdraw(
            connection,
            STREAM_REQUESTS.c.replaces.in_(ended),
            why=f"The stream stopped: {stop_reason_text(stop.stop_reason)}.",
        )
    row_id = ended[-1] if ended else None
    detail = f"the stream stopped: {stop_reason_text(stop.stop_reason)}"
    level = "warning" if is_fault(stop.stop_reason) else "info"
    if stop.stop_reason == NOT_AUTHENTICATED:  # every stream fails until the credentials are right
        level = "error"
    restart = _apply_restart(connection, config, stop, arrival) if row_id else None
    if restart:
        detail += f"; it was started again since as meeting {restart.row_id}"
    elif row_id is None:
        detail += "; its start has not arrived yet"
    elif causes.ask_again(connection, config, ended, now=arrival.received_at):
        detail += "; Zoom is asked for it again"
    return IntakeResult(
        outcome="accepted",
        detail=detail,
        level=level,
        stream=stop.rtms_stream_id,
        row_id=row_id,
        is_due=restart is not None and restart.is_due,
    )


def _apply_restart(
    connection: Connection, config: Config, stop: Stopped, arrival: Arrival
) -> IntakeResult | None:
    """Apply a restart that arrived before this stop. It was taken for a duplicate of the start."""
    starts = later_events(stop.rtms_stream_id, ".rtms_started", stop.event_ts)
    later = connection.execute(starts.order_by(EVENTS.c.event_ts.desc()).limit(1)).first()
    if later is None:
        return None
    arrived = Arrival.of_event(later)
    start = parse(later.payload, arrived.sent_ts)
    assert isinstance(start, Started)
    result = apply_start(connection, config, start, arrived.moved_to(arrival.received_at))
    if result.row_id is None:
        return None
    connection.execute(
        EVENTS.update().where(EVENTS.c.id == later.id).values(outcome=result.recorded)
    )
    return result


def _end(connection: Connection, stop: Stopped, received_at: datetime) -> list[int]:
    """End a stopped stream's connected rows and skip its untried ones. A row with a try whose
    outcome is unknown stays pending, because Recall may have the stream.

    Returns:
        The ids of the rows, the latest last.
    """
    why = stop_reason_text(stop.stop_reason)
    newer = CONNECTS.alias("newer")
    moved = sa.exists().where(
        newer.c.id == CONNECTS.c.superseded_by, newer.c.rtms_stream_id == stop.rtms_stream_id
    )
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.state, CONNECTS.c.key_used_at)
        .where(
            CONNECTS.c.rtms_stream_id == stop.rtms_stream_id,
            CONNECTS.c.event_ts <= stop.event_ts,
            CONNECTS.c.stopped_at.is_(None),
            sa.not_(moved),  # to other servers: the later row is the one that stops
        )
        .order_by(CONNECTS.c.event_ts)
        .with_for_update(of=CONNECTS)  # the dispatcher may be claiming it or recording its outcome
    ).all()
    for row in rows:
        change = stop_columns(stop)
        if row.state == State.CONNECTED:
            change |= {"state": State.ENDED, "due_at": first_look(received_at)}
        elif row.state == State.PENDING and row.key_used_at is None:
            change |= {
                "state": State.SKIPPED,
                "reason": Reason.STOPPED_FIRST,
                "due_at": None,
                "last_error": f"The stream was over before it was connected: {why}.",
            }
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == row.id).values(change))
    return [row.id for row in rows]
