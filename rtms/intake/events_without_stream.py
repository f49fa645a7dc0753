"""Zoom's events about a meeting rather than one of its streams: its topic, the answer to a request
to start a stream, or that none was started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import EVENTS, Source
from rtms.rows import as_dicts
from rtms.states import LONGEST_MEETING
from rtms.zoom.events import MEETING_ENDED_EVENTS

_NAMES = (
    "meeting.started",
    *MEETING_ENDED_EVENTS,
    "rtms.request_status",
    "rtms.concurrency_limited",
)
_BEFORE = timedelta(hours=1)  # from a request for a stream to its start, at most
_MOST = 50


def about_meeting(connection: Connection, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events about a row's meeting, with their bodies, in the order of arrival.

    Every occurrence of a recurring meeting has the same number. An event that names only the number
    counts if it arrived between an hour before the row and the row's end.

    Args:
        row: of `meeting_direct_connects`.
    """
    c = EVENTS.c
    end: datetime = row["stopped_at"] or row["received_at"] + LONGEST_MEETING
    ways = [c.meeting_uuid == row["meeting_uuid"]]
    if row["meeting_id"]:
        ways.append(
            sa.and_(
                c.meeting_id == row["meeting_id"],
                c.meeting_uuid.is_(None),
                c.received_at.between(row["received_at"] - _BEFORE, end),
            )
        )
    found: dict[int, dict[str, Any]] = {}
    for way in ways:
        wanted = sa.select(EVENTS).where(
            way, c.source == Source.ZOOM, c.event.in_(_NAMES), c.rtms_stream_id.is_(None)
        )
        newest = as_dicts(connection.execute(wanted.order_by(c.id.desc()).limit(_MOST)))
        found |= {each["id"]: each for each in newest}
    return [found[id] for id in sorted(found)]
