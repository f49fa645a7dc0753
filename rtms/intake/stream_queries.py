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
    rows = connection.execute(
        sa.select(
            CONNECTS.c.id,
            CONNECTS.c.event_ts,
            CONNECTS.c.server_urls,
            CONNECTS.c.state,
            CONNECTS.c.reason,
            CONNECTS.c.stopped_at,
        )
        .where(CONNECTS.c.rtms_stream_id == stream)
        .with_for_update()  # the dispatcher may be recording an outcome
    )
    return [
        Known(
            id=row.id,
            event_ts=row.event_ts,
            server_urls=row.server_urls,
            state=row.state,
            reason=row.reason,
            stopped=row.stopped_at is not None,
        )
        for row in rows
    ]


def starts_after(stream: str, event_ts: int) -> sa.Select[Any]:
    """Select the recorded starts of a stream that are later by Zoom's clock."""
    return sa.select(
        EVENTS.c.id,
        EVENTS.c.payload,
        EVENTS.c.tracking_id,
        EVENTS.c.received_at,
        EVENTS.c.sent_at,
    ).where(
        EVENTS.c.rtms_stream_id == stream,
        EVENTS.c.event.endswith(".rtms_started"),
        EVENTS.c.event_ts > event_ts,
    )


def stop_after(connection: Connection, start: Started) -> Stopped | None:
    """Return the stop that arrived before its start, though it is later by Zoom's clock."""
    stored = connection.execute(
        sa.select(EVENTS.c.event_ts, EVENTS.c.payload)
        .where(
            EVENTS.c.rtms_stream_id == start.rtms_stream_id,
            EVENTS.c.event.endswith("rtms_stopped"),
            EVENTS.c.event_ts > start.event_ts,
        )
        .order_by(EVENTS.c.event_ts)
        .limit(1)
    ).first()
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
    if config.record_streams != "host" or start.is_original_host is not False:
        return False
    if start.operator_id is None:
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
