"""Apply an `rtms_started`."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, Reason, State
from rtms.intake import meeting_names, stream_queries
from rtms.intake.columns import new_row, stop_columns
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.start_rules import Verdict, judge
from rtms.recall.polling import first_look
from rtms.stream_requests import causes, requests
from rtms.zoom.meanings import Started


def apply_start(
    connection: Connection, config: Config, start: Started, arrival: Arrival
) -> IntakeResult:
    """Apply a start: insert its row, which replaces others or is skipped, or do nothing."""
    later = stream_queries.later_events(start.rtms_stream_id, ".rtms_started", start.event_ts)
    stop = stream_queries.early_stop(connection, start)
    verdict = judge(
        start,
        stream_queries.known_rows(connection, start.rtms_stream_id),
        others=stream_queries.other_streams(connection, start),
        operator_was_wanted=stream_queries.operator_was_wanted(connection, config, start),
        last_stop_ts=stop.event_ts if stop else None,
        record_streams=config.record_streams,
        later_start_known=bool(connection.scalar(sa.select(later.exists()))),
    )
    if not verdict.new_row:
        return IntakeResult(
            outcome="duplicate", detail=verdict.detail, level="debug", stream=start.rtms_stream_id
        )
    older = CONNECTS.c.id.in_(verdict.supersedes)
    if verdict.supersedes:
        connection.execute(
            CONNECTS.update()
            .where(older)
            .values(
                state=State.ENDED,
                # The recording made so far is followed like any other.
                due_at=sa.case(
                    (CONNECTS.c.recall_id.is_not(None), first_look(arrival.received_at))
                ),
            )
        )
    named = meeting_names.of_meetings(connection, [start.meeting_uuid]).get(start.meeting_uuid)
    row = new_row(config, start, verdict, arrival, named)
    if verdict.skip == Reason.STOPPED_FIRST and stop:
        row |= stop_columns(stop)
    row_id = connection.scalar(CONNECTS.insert().values(row).returning(CONNECTS.c.id))
    if verdict.supersedes:
        connection.execute(CONNECTS.update().where(older).values(superseded_by=row_id))
    detail = verdict.detail
    is_wanted = verdict.skip is None
    continued = requests.fulfil(connection, config, start, row_id, is_wanted=is_wanted)
    if continued:
        detail += f"; it continues meeting {continued[-1]}"
    skipped = [row_id] if row_id and not is_wanted else []
    if causes.ask_again(connection, config, skipped, now=arrival.received_at):
        detail += "; Zoom is asked for it again"
    return start_result(start, replace(verdict, detail=detail), row_id)


def start_result(start: Started, verdict: Verdict, row_id: int | None) -> IntakeResult:
    """Return the outcome of a start that inserted a row."""
    return IntakeResult(
        outcome="ignored" if verdict.skip else "accepted",
        detail=verdict.detail,
        level="warning" if verdict.skip == Reason.UNSUPPORTED else "info",
        stream=start.rtms_stream_id,
        row_id=row_id,
        is_due=verdict.skip is None,
    )
