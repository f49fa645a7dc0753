"""Apply an `rtms_interrupted`."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE_STATES
from rtms import clock
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.start_rules import is_to_rejoin
from rtms.intake.starts import apply_start
from rtms.intake.stream_queries import known_rows
from rtms.zoom.meanings import Interrupted, Started


def apply_interruption(
    connection: Connection, config: Config, event: Interrupted, arrival: Arrival
) -> IntakeResult:
    """Apply an interruption: note it, and move the stream to other servers if Zoom names some."""
    row_id = connection.scalar(
        CONNECTS.update()
        .where(
            CONNECTS.c.rtms_stream_id == event.rtms_stream_id,
            CONNECTS.c.event_ts <= event.event_ts,
            CONNECTS.c.state.in_(LIVE_STATES),
            CONNECTS.c.stopped_at.is_(None),
        )
        .values(interrupted_at=clock.from_milliseconds(event.event_ts))
        .returning(CONNECTS.c.id)
    )
    if event.rejoin and is_to_rejoin(event.rejoin, known_rows(connection, event.rtms_stream_id)):
        start = _with_known_fields(connection, event.rejoin)
        result = apply_start(connection, config, start, arrival)
        if result.row_id is not None:
            return replace(
                result, detail=f"the signalling connection broke; {result.detail}", level="warning"
            )
    return IntakeResult(
        outcome="accepted",
        detail="the stream's signalling connection broke; Zoom waits for Recall to reconnect",
        level="warning",
        stream=event.rtms_stream_id,
        row_id=row_id,
    )


def _with_known_fields(connection: Connection, rejoin: Started) -> Started:
    """Fill in what an interruption leaves out from its stream's latest row."""
    names = ("meeting_uuid", "meeting_id", "account_id", "operator_id", "is_original_host")
    row = connection.execute(
        sa.select(*(CONNECTS.c[name] for name in names))
        .where(CONNECTS.c.rtms_stream_id == rejoin.rtms_stream_id)
        .order_by(CONNECTS.c.event_ts.desc())
        .limit(1)
    ).one_or_none()
    known = {name: getattr(row, name) for name in names if getattr(row, name, None) is not None}
    return replace(rejoin, **known)
