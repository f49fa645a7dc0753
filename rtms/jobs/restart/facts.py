"""What is known of a request's meeting before the request is sent."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import (
    CONNECTS,
    EVENTS,
    FOLLOWED,
    LIVE,
    STREAM_REQUESTS,
    RequestAction,
    RequestCause,
    RequestState,
)
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.restart.after_outage import is_known_to_be_live
from rtms.jobs.restart.open_requests import RequestToSend
from rtms.stream_requests.lookups import live_row_of
from rtms.stream_requests.rules import Known
from rtms.zoom.events import MEETING_ENDED_EVENTS
from rtms.zoom.stop_reasons import MEETING_ENDED


def facts_about(
    database: Database, request: RequestToSend, *, recall_takes_streams: Callable[[], bool]
) -> Known:
    """Return what is known of a request's meeting now.

    Args:
        recall_takes_streams: called only where the rules depend on it.
    """
    # First, because it may take a while, and what the tables say may change meanwhile.
    takes_streams = request.cause != RequestCause.WINDOW_EXPIRED or recall_takes_streams()
    with database.read() as connection:
        has_ended = _has_ended(connection, request)
        live_row = live_row_of(
            connection,
            meeting_uuid=request.meeting_uuid,
            meeting_id=request.meeting_id,
            operator_id=request.operator_id,
        )
        is_live_for_sure = True
        is_after_outage = request.cause == RequestCause.OUTAGE
        if is_after_outage and live_row is not None and live_row == request.replaces:
            is_live_for_sure = is_known_to_be_live(connection, live_row, now=clock.now())
        restarts = _restarts(connection, request)
    return Known(
        has_ended=has_ended,
        live_row=live_row,
        is_live_for_sure=is_live_for_sure,
        restarts=restarts,
        recall_takes_streams=takes_streams,
    )


def _has_ended(connection: Connection, request: RequestToSend) -> bool:
    """Return whether a request's meeting is over: Zoom said so, since the lost stream began, or a
    later occurrence of it, which has the same number, has a live stream."""
    uuid = request.meeting_uuid
    if uuid is None:
        return False
    e, c = EVENTS.c, CONNECTS.c
    said = sa.exists().where(e.meeting_uuid == uuid, e.event.in_(MEETING_ENDED_EVENTS))
    later = sa.exists().where(
        c.meeting_id == request.meeting_id, c.meeting_uuid != uuid, sa.text(LIVE)
    )
    started_ts = connection.scalar(sa.select(c.event_ts).where(c.id == request.replaces))
    since = clock.from_milliseconds(started_ts or 0)
    # One query for each index: together all rows.
    stopped = (
        sa.exists().where(
            c.meeting_uuid == uuid,
            c.stop_reason == MEETING_ENDED,
            c.stopped_at > since,
            sa.text(kind),
        )
        for kind in ("due_at IS NULL", FOLLOWED)
    )
    return any(connection.scalar(sa.select(each)) for each in (said, later, *stopped))


def _restarts(connection: Connection, request: RequestToSend) -> int:
    """Return how many requests for this user in this meeting led to a stream."""
    c = STREAM_REQUESTS.c
    same = (
        c.meeting_uuid == request.meeting_uuid
        if request.meeting_uuid
        else sa.and_(c.meeting_uuid.is_(None), c.meeting_id == request.meeting_id)
    )
    count = sa.select(sa.func.count()).where(
        same,
        c.operator_id == request.operator_id,
        c.action == RequestAction.START,
        c.state == RequestState.FULFILLED,
    )
    return connection.scalar(count) or 0
