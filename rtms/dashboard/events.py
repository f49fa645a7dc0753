"""The list of events, the page of an event, and its replay."""

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
from rtms.dashboard.index_scans import SHORTEST_PREFIX, IndexScan, Key, Span, beginning_with
from rtms.dashboard.meetings.other_moments import pretty
from rtms.dashboard.meetings.search import (
    InvalidSearch,
    moments,
    read_day,
    read_key,
    read_text,
    rows_of_meeting,
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
_MEETINGS = 20  # of one stream that a page lists
_NAMED = tuple(
    CONNECTS.c[name]
    for name in (
        "id", "product", "meeting_id", "meeting_uuid", "topic", "state", "reason", "stop_reason",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventSearch:
    """The fields of the list's form."""

    event: str = ""
    stream: str = ""
    outcome: str = ""
    day: date | None = None

    @property
    def is_plain(self) -> bool:
        """Whether there is no filter: all events."""
        return self == EventSearch()

    def arguments(self) -> dict[str, str]:
        """Return the filters as the arguments of a link, without the page's key."""
        given = {
            "event": self.event,
            "stream": self.stream,
            "outcome": self.outcome,
            "day": self.day.isoformat() if self.day else "",
        }
        return {name: value for name, value in given.items() if value}


def read(arguments: Mapping[str, str]) -> EventSearch:
    """Read the list's form.

    Raises:
        InvalidSearch: a value is invalid.
    """
    query = EventSearch(
        event=read_text(arguments.get("event", "")),
        stream=read_text(arguments.get("stream", "")),
        outcome=arguments.get("outcome", "").strip(),
        day=read_day(arguments.get("day", "")),
    )
    if query.outcome and query.outcome not in OUTCOMES:
        raise InvalidSearch(f"Unknown outcome. Choose one of: {', '.join(OUTCOMES)}.")
    if 0 < len(query.stream) < SHORTEST_PREFIX:
        raise InvalidSearch(f"Enter at least {SHORTEST_PREFIX} characters of the stream's id.")
    return query


def find(connection: Connection, query: EventSearch, key: Key) -> Page:
    """Return a page of the events that match the filters."""
    span = Span()
    if query.day:
        found = paging.span_of(connection, EVENTS, *moments(query.day))
        if found is None:
            return Page(rows=(), newer=None, older=None, is_cut=False)
        span = found
    scans = [IndexScan()]
    if query.stream:
        scans = [
            IndexScan(where=(EVENTS.c.rtms_stream_id == query.stream,), few=True),
            beginning_with(EVENTS, EVENTS.c.rtms_stream_id, query.stream),
        ]
    return paging.fetch(
        connection, EVENTS, scans, key, span=span, wanted=_wanted(query), columns=_COLUMNS
    )


def _wanted(query: EventSearch) -> list[sa.ColumnElement[bool]]:
    c, wanted = EVENTS.c, []
    if query.event:
        wanted.append(c.event == query.event)
    if query.outcome:  # the column has a word, and the reason after a colon
        begins = sa.func.substr(c.outcome, 1, len(query.outcome) + 1)
        wanted.append(sa.or_(c.outcome == query.outcome, begins == f"{query.outcome}:"))
    if query.day:
        since, until = moments(query.day)
        wanted += [c.received_at >= since, c.received_at < until]
    return wanted


@blueprint.get("/events")
def events() -> Response:
    """Show the list."""
    page, trouble, query = None, None, EventSearch()
    try:
        query, key = read(request.args), read_key(request.args)
        with get_services().database.read() as connection:
            page = find(connection, query, key)
    except InvalidSearch as error:
        trouble = str(error)
    body = render_template(
        "events.html", query=query, page=page, trouble=trouble, outcomes=OUTCOMES, names=EVENT_NAMES
    )
    return page_or_json(body, trouble, 400) if trouble else make_response(body)


@blueprint.get(f"/events/<{ROW_ID}:id>")
def event(id: int) -> str:
    """Show an event with its body as it was received."""
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
    """Process a stored event again, as if it had just arrived."""
    services = get_services()
    with services.database.read() as connection:
        _row(connection, id)
    taken = services.intake.replay(id)
    url = url_for("dashboard.event", id=id)
    if taken is None:
        text = f"Event {id} is not from Zoom, so it cannot be replayed."
        return redirect_with(url, text, "bad")
    if taken.is_due and services.dispatcher:
        services.dispatcher.wake(JobName.CONNECT)
    about = f" (meeting {taken.row_id})" if taken.row_id else ""
    text = f"Event {id} was replayed ({taken.outcome}): {taken.detail}{about}."
    return redirect_with(url, text, "bad" if taken.outcome == "rejected" else "good")


def _meetings_of(connection: Connection, event: dict[str, Any]) -> Sequence[AnyRow]:
    """Return the meetings that an event is about: those of its stream, or the one it names."""
    if event["rtms_stream_id"]:
        wanted = sa.select(*_NAMED).where(CONNECTS.c.rtms_stream_id == event["rtms_stream_id"])
        found = connection.execute(wanted.order_by(CONNECTS.c.event_ts.desc()).limit(_MEETINGS))
        return found.all()
    for column in (CONNECTS.c.meeting_uuid, CONNECTS.c.meeting_id):
        if event[column.name]:
            return rows_of_meeting(connection, column, event[column.name], _NAMED)[:_MEETINGS]
    return ()


def _row(connection: Connection, id: int) -> dict[str, Any]:
    row = connection.execute(sa.select(EVENTS).where(EVENTS.c.id == id)).one_or_none()
    if row is None:
        abort(404, f"There is no event {id}. See the list of events.")
    return dict(row._mapping)
