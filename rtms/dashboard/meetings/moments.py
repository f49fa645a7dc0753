"""The moments of a timeline, and when one of Zoom's events happened. Pure."""

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
_CLOCKS_AGREE = timedelta(seconds=5)  # allows for the time in transit and for whole seconds


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened to a meeting, or will happen (`ahead`)."""

    at: datetime | None  # by this server's clock; None: not recorded
    what: str
    detail: str = ""
    said: str = ""  # by Zoom, Recall or the server's log: shown as a quotation
    tone: Tone = "plain"
    event_id: int | None = None  # the webhook event that reported it
    more_events: tuple[int, ...] = ()  # other events that reported the same
    meeting_id: int | None = None  # another row that it refers to
    body: str = ""  # what Zoom sent, as JSON, shown verbatim


def happened_at(event: Row) -> datetime:
    """Return when one of Zoom's events happened, by this server's clock. If `sent_at`, which is by
    Zoom's clock, shows that the clocks differ, the difference is added."""
    at = zoom_moment(event["event_ts"])
    if at is None:
        return event["received_at"]  # type: ignore[no-any-return]
    sent_at = event.get("sent_at")
    if sent_at is None:
        return at
    ahead: timedelta = event["received_at"] - sent_at
    return at + ahead if abs(ahead) > _CLOCKS_AGREE else at


def zoom_moment(event_ts: int | None) -> datetime | None:
    """Return an `event_ts` as a datetime; None if it is not a valid time."""
    try:
        return None if event_ts is None else clock.from_milliseconds(event_ts)
    except (ValueError, OverflowError, OSError):
        return None


def is_zooms(event: Row, verb: str) -> bool:
    """Return whether an event is Zoom's, of any product, and its name ends with the verb."""
    name: str = event["event"]
    return event["source"] == Source.ZOOM and name.endswith(verb)


def merged(moments: Iterable[Moment]) -> list[Moment]:
    """Merge consecutive moments that say the same within a short time. The order stays."""
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
