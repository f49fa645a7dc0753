"""What is known of a request's meeting before the request is sent."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import EVENTS, STREAM_REQUESTS, RequestAction, RequestCause, RequestState
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.restart.after_outage import is_known_to_be_live
from rtms.jobs.restart.open_requests import RequestToSend
from rtms.stream_requests.lookups import live_row_of
from rtms.stream_requests.rules import Known
from rtms.zoom.events import MEETING_ENDED_EVENTS


def facts_about(
    database: Database, request: RequestToSend, *, recall_takes_streams: Callable[[], bool]
) -> Known:
    """Return what is known of a request's meeting now.

    Args:
        recall_takes_streams: called only where the rules depend on it.
    """
    depends_on_recall = request.cause == RequestCause.WINDOW_EXPIRED
    with database.read() as connection:
        has_ended = _has_ended(connection, request.meeting_uuid)
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
        recall_takes_streams=not depends_on_recall or recall_takes_streams(),
    )


def _has_ended(connection: Connection, meeting_uuid: str | None) -> bool:
    if meeting_uuid is None:
        return False
    ended = sa.exists().where(
        EVENTS.c.meeting_uuid == meeting_uuid, EVENTS.c.event.in_(MEETING_ENDED_EVENTS)
    )
    return bool(connection.scalar(sa.select(ended)))


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
