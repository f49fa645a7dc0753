"""What meetings are called, as `meeting.started` says where the Zoom app subscribes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import EVENTS, Source
from rtms import clock
from rtms.text import search_text
from rtms.zoom.events import MeetingStarted, parse

EVENT = "meeting.started"


@dataclass(frozen=True, kw_only=True)
class MeetingName:
    """A meeting's topic and host, as far as they are known."""

    topic: str | None = None
    host_id: str | None = None

    def or_else(self, other: MeetingName) -> MeetingName:
        """It, and what only another one says."""
        return MeetingName(topic=self.topic or other.topic, host_id=self.host_id or other.host_id)

    def columns(self) -> dict[str, str | None]:
        """It as columns of `meeting_direct_connects`."""
        searched = search_text(self.topic) if self.topic else None
        return {"topic": self.topic, "topic_search": searched, "host_id": self.host_id}


def of_meetings(connection: Connection, meeting_uuids: Sequence[str]) -> dict[str, MeetingName]:
    """What Zoom said that meetings are called, by their UUID. Of two words the later one counts,
    and one that is not said takes no other away.

    Args:
        meeting_uuids: of which meetings.
    """
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
