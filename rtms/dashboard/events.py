"""The raw record: everything that arrived, and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, make_response, render_template, request, url_for
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, Source
from rtms.dashboard import paging
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.flash import redirect_with
from rtms.dashboard.index_scans import SHORTEST_PREFIX, Key, Span, Way, beginning_with
from rtms.dashboard.meetings.other_events import pretty
from rtms.dashboard.meetings.search import (
    BadQuestion,
    moments,
    of_meeting,
    read_day,
    read_key,
    read_text,
)
from rtms.dashboard.paging import ROW_ID, Page
from rtms.db.database import AnyRow
from rtms.jobs.names import JobName
from rtms.services import get_services
from rtms.zoom.events import EVENT_NAMES

OUTCOMES = ("accepted", "duplicate", "ignored", "unknown", "rejected")
_COLUMNS = tuple(
    EVENTS.c[name]
    for name in (
        "id", "source", "event", "rtms_stream_id", "meeting_uuid", "meeting_id", "received_at",
        "outcome",
    )
)  # fmt: skip
_MEETINGS = 20  # of one stream that a page names
_NAMED = tuple(
    CONNECTS.c[name]
    for name in (
        "id", "product", "meeting_id", "meeting_uuid", "topic", "state", "reason", "stop_reason",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventSearch:
    """What the list's form says."""

    event: str = ""
    stream: str = ""
    outcome: str = ""
    day: date | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for: all events."""
        return self == EventSearch()

    def arguments(self) -> dict[str, str]:
        """It as the arguments of a link, without the key."""
        given = {
            "event": self.event,
            "stream": self.stream,
            "outcome": self.outcome,
            "day": self.day.isoformat() if self.day else "",
        }
        return {name: value for name, value in given.items() if value}


def read(arguments: Mapping[str, str]) -> EventSearch:
    """Read what the list's form says.

    Raises:
        BadQuestion: a value means nothing.
    """
    asked = EventSearch(
        event=read_text(arguments.get("event", "")),
        stream=read_text(arguments.get("stream", "")),
        outcome=arguments.get("outcome", "").strip(),
        day=read_day(arguments.get("day", "")),
    )
    if asked.outcome and asked.outcome not in OUTCOMES:
        raise BadQuestion(f"There is no such outcome. There are: {', '.join(OUTCOMES)}.")
    if 0 < len(asked.stream) < SHORTEST_PREFIX:
        raise BadQuestion(f"Give {SHORTEST_PREFIX} characters of the stream's id, or more.")
    return asked


def find(connection: Connection, asked: EventSearch, key: Key) -> Page:
    """The page of events that was asked for."""
    span = Span()
    if asked.day:
        found = paging.span_of(connection, EVENTS, *moments(asked.day))
        if found is None:
            return Page(rows=(), newer=None, older=None, was_cut=False)
        span = found
    ways = [Way()]
    if asked.stream:
        ways = [
            Way(where=(EVENTS.c.rtms_stream_id == asked.stream,), few=True),
            beginning_with(EVENTS, EVENTS.c.rtms_stream_id, asked.stream),
        ]
    return paging.fetch(
        connection, EVENTS, ways, key, span=span, wanted=_wanted(asked), columns=_COLUMNS
    )


def _wanted(asked: EventSearch) -> list[sa.ColumnElement[bool]]:
    c, wanted = EVENTS.c, []
    if asked.event:
        wanted.append(c.event == asked.event)
    if asked.outcome:  # a word, and after a colon why
        begins = sa.func.substr(c.outcome, 1, len(asked.outcome) + 1)
        wanted.append(sa.or_(c.outcome == asked.outcome, begins == f"{asked.outcome}:"))
    if asked.day:
        since, until = moments(asked.day)
        wanted += [c.received_at >= since, c.received_at < until]
    return wanted


@blueprint.get("/events")
def events() -> Response:
    """The list."""
    page, trouble, asked = None, None, EventSearch()
    try:
        asked, key = read(request.args), read_key(request.args)
        with get_services().database.read() as connection:
            page = find(connection, asked, key)
    except BadQuestion as error:
        trouble = str(error)
    body = render_template(
        "events.html", asked=asked, page=page, trouble=trouble, outcomes=OUTCOMES, names=EVENT_NAMES
    )
    return page_or_json(body, trouble, 400) if trouble else make_response(body)


@blueprint.get(f"/events/<{ROW_ID}:id>")
def event(id: int) -> str:
    """One event, with its body as it came."""
    with get_services().database.read() as connection:
        row = _row(connection, id)
        meetings = _meetings_of(connection, row)
    return render_template(
        "event.html",
        row={name: value for name, value in row.items() if name != "payload"},
        body=pretty(row["payload"]),
        meetings=[dict(each._mapping) for each in meetings],
        names_meeting=row["meeting_uuid"] or row["meeting_id"],
        is_zooms=row["source"] == Source.ZOOM,
    )


@blueprint.post(f"/events/<{ROW_ID}:id>/replay")
def event_replay(id: int) -> Response:
    """Run a stored event through the rules again, as if it had just arrived."""
    services = get_services()
    with services.database.read() as connection:
        _row(connection, id)
    taken = services.intake.replay(id)
    url = url_for("dashboard.event", id=id)
    if taken is None:
        text = f"Event {id} is not one of Zoom's: there is nothing to replay."
        return redirect_with(url, text, "bad")
    if taken.is_due and services.dispatcher:
        services.dispatcher.wake(JobName.CONNECT)
    about = f" (meeting {taken.row_id})" if taken.row_id else ""
    text = f"Event {id} was replayed ({taken.outcome}): {taken.detail}{about}."
    return redirect_with(url, text, "bad" if taken.outcome == "rejected" else "good")


def _meetings_of(connection: Connection, event: dict[str, Any]) -> Sequence[AnyRow]:
    """The meetings that an event is about: those of its stream, or of the meeting it names."""
    if event["rtms_stream_id"]:
        wanted = sa.select(*_NAMED).where(CONNECTS.c.rtms_stream_id == event["rtms_stream_id"])
        found = connection.execute(wanted.order_by(CONNECTS.c.event_ts.desc()).limit(_MEETINGS))
        return found.all()
    for column in (CONNECTS.c.meeting_uuid, CONNECTS.c.meeting_id):
        if event[column.name]:
            return of_meeting(connection, column, event[column.name], _NAMED)[:_MEETINGS]
    return ()


def _row(connection: Connection, id: int) -> dict[str, Any]:
    row = connection.execute(sa.select(EVENTS).where(EVENTS.c.id == id)).one_or_none()
    if row is None:
        abort(404, f"There is no event {id}. The list of events shows those there are.")
    return dict(row._mapping)
