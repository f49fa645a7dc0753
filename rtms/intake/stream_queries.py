"""What the tables know of a stream and of its meeting's other streams."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, FOLLOWED, LIVE, LIVE_OF_A_USER, Reason
from rtms.intake.start_rules import Known, OtherStream
from rtms.zoom.events import parse
from rtms.zoom.meanings import Started, Stopped


def known_rows(connection: Connection, stream: str) -> list[Known]:
    """Return every row of a stream."""
    rows = connection.execute(
        sa.select(
            CONNECTS.c.id,
            CONNECTS.c.event_ts,
            CONNECTS.c.server_urls,
            CONNECTS.c.state,
            CONNECTS.c.reason,
            CONNECTS.c.stopped_at.is_not(None).label("stopped"),
        )
        .where(CONNECTS.c.rtms_stream_id == stream)
        .with_for_update()  # the dispatcher may be recording an outcome
    )
    return [Known(**row._mapping) for row in rows]


def later_events(stream: str, ending: str, event_ts: int) -> sa.Select[Any]:
    """Select the recorded events of a stream that are later by Zoom's clock.

    Args:
        ending: of the events' names.
        event_ts: milliseconds since epoch.
    """
    return sa.select(EVENTS).where(
        EVENTS.c.rtms_stream_id == stream,
        EVENTS.c.event.endswith(ending),
        EVENTS.c.event_ts > event_ts,
    )


def early_stop(connection: Connection, start: Started) -> Stopped | None:
    """Return the stop that arrived before its start, though it is later by Zoom's clock."""
    stops = later_events(start.rtms_stream_id, "rtms_stopped", start.event_ts)
    stored = connection.execute(stops.order_by(EVENTS.c.event_ts).limit(1)).first()
    if stored is None:
        return None
    stop = parse(stored.payload, stored.event_ts)
    assert isinstance(stop, Stopped)
    return stop


def other_streams(connection: Connection, start: Started) -> list[OtherStream]:
    """Return the live rows of other streams of a meeting."""
    # One select for each index: the users' streams, and the one of RECORD_STREAMS=first.
    ids = sa.union_all(
        sa.select(CONNECTS.c.id).where(
            CONNECTS.c.meeting_uuid == start.meeting_uuid, sa.text(LIVE_OF_A_USER)
        ),
        sa.select(CONNECTS.c.id).where(
            CONNECTS.c.meeting_slot == start.meeting_uuid, sa.text(LIVE)
        ),
    )
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.event_ts, CONNECTS.c.operator_id)
        .where(CONNECTS.c.id.in_(ids), CONNECTS.c.rtms_stream_id != start.rtms_stream_id)
        .order_by(CONNECTS.c.id)
        .with_for_update()  # one of them may be superseded
    )
    return [OtherStream(**row._mapping) for row in rows]


def operator_was_wanted(connection: Connection, config: Config, start: Started) -> bool:
    """Return whether an earlier stream of the same user in this meeting was wanted. The user may no
    longer be host: the app continues when the host hands the meeting over (Zoom)."""
    is_asked = config.record_streams == "host" and start.is_original_host is False
    if not is_asked or start.operator_id is None:
        return False
    unwanted = sa.or_(
        CONNECTS.c.reason.in_((Reason.NOT_WANTED, Reason.UNSUPPORTED)),
        # It was over before the rules decided. If the user was wanted, an earlier row shows it.
        sa.and_(CONNECTS.c.reason == Reason.STOPPED_FIRST, CONNECTS.c.is_original_host.is_(False)),
    )
    # One query for each index; together they cover all rows.
    kinds = (LIVE, "due_at IS NULL", FOLLOWED)
    return any(
        connection.scalar(
            sa.select(
                sa.exists().where(
                    CONNECTS.c.meeting_uuid == start.meeting_uuid,
                    CONNECTS.c.operator_id == start.operator_id,
                    sa.or_(CONNECTS.c.reason.is_(None), sa.not_(unwanted)),
                    sa.text(kind),
                )
            )
        )
        for kind in kinds
    )
