"""What a timeline is made of, and when a thing of Zoom's happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from models import Source
from rtms import clock

Tone = Literal["plain", "good", "bad", "ahead"]
Row = Mapping[str, Any]

_SOON = timedelta(minutes=2)
_CLOCKS_AGREE = timedelta(seconds=5)  # as far as a delivery's way and whole seconds can tell


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened to a meeting, or is to happen (`ahead`)."""

    at: datetime | None  # by this server's clock; None: nobody wrote down when
    what: str
    detail: str = ""
    said: str = ""  # by Zoom, Recall or the server's log, to be quoted
    tone: Tone = "plain"
    event_id: int | None = None  # the webhook event that says so
    more_events: tuple[int, ...] = ()  # others that say the same
    meeting_id: int | None = None  # another row that it is about
    body: str = ""  # what Zoom sent, as JSON, to be shown word for word


def happened_at(event: Row) -> datetime:
    """When one of Zoom's events happened, by this server's clock. Where Zoom's clock is another
    one (`sent_at`: when Zoom sent the event, by its own), the difference is added."""
    at = zoom_moment(event["event_ts"])
    if at is None:
        return event["received_at"]  # type: ignore[no-any-return]
    sent_at = event.get("sent_at")
    if sent_at is None:
        return at
    ahead: timedelta = event["received_at"] - sent_at
    return at + ahead if abs(ahead) > _CLOCKS_AGREE else at


def zoom_moment(event_ts: int | None) -> datetime | None:
    """The moment that an `event_ts` names; None where it names none."""
    try:
        return None if event_ts is None else clock.from_milliseconds(event_ts)
    except (ValueError, OverflowError, OSError):
        return None


def is_zooms(event: Row, verb: str) -> bool:
    """Whether an event is Zoom's, of whatever product, and its name ends so."""
    name: str = event["event"]
    return event["source"] == Source.ZOOM and name.endswith(verb)


def merged(moments: Iterable[Moment]) -> list[Moment]:
    """Moments in their order, those that soon follow each other and say the same as one."""
    kept: list[Moment] = []
    for moment in moments:
        last = kept[-1] if kept else None
        if last is not None and moment.event_id is not None and _alike(last, moment):
            kept[-1] = replace(last, more_events=(*last.more_events, moment.event_id))
        else:
            kept.append(moment)
    return kept


def _alike(one: Moment, other: Moment) -> bool:
    if one.event_id is None or one.at is None or other.at is None:
        return False
    is_soon = other.at - one.at < _SOON
    return is_soon and replace(one, at=None, event_id=None, more_events=()) == (
        replace(other, at=None, event_id=None, more_events=())
    )
