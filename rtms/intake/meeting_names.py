"""The topics and hosts of meetings, from `meeting.started` where the Zoom app subscribes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import EVENTS, Source
from rtms import clock
from rtms.text import search_text
from rtms.zoom.events import parse
from rtms.zoom.meanings import MeetingStarted

EVENT = "meeting.started"


@dataclass(frozen=True, kw_only=True)
class MeetingName:
    """A meeting's topic and host, as far as they are known."""

    topic: str | None = None
    host_id: str | None = None

    def or_else(self, other: MeetingName) -> MeetingName:
        """Return this name, with what it lacks taken from another."""
        return MeetingName(topic=self.topic or other.topic, host_id=self.host_id or other.host_id)

    def columns(self) -> dict[str, str | None]:
        """Return the name as columns of `meeting_direct_connects`."""
        searched = search_text(self.topic) if self.topic else None
        return {"topic": self.topic, "topic_search": searched, "host_id": self.host_id}


def of_meetings(connection: Connection, meeting_uuids: Sequence[str]) -> dict[str, MeetingName]:
    """Return the names that Zoom gave meetings, by UUID. A later event overrides an earlier one,
    but a field it leaves out keeps its value."""
    stored = connection.execute(
        sa.select(EVENTS.c.payload, EVENTS.c.received_at)
        .where(
            EVENTS.c.source == Source.ZOOM,
            EVENTS.c.event == EVENT,
            EVENTS.c.meeting_uuid.in_(meeting_uuids),
        )
        .order_by(EVENTS.c.id)
    )
    found: dict[str, MeetingName] = {}
    for row in stored:
        event = parse(row.payload, clock.to_milliseconds(row.received_at))
        assert isinstance(event, MeetingStarted)
        said = MeetingName(topic=event.topic, host_id=event.host_id)
        found[event.meeting_uuid] = said.or_else(found.get(event.meeting_uuid, MeetingName()))
    return found
