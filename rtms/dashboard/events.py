"""The raw record: everything that arrived, and what was made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, make_response, render_template, request, url_for
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, Source
from rtms.connect import CONNECT_LANE
from rtms.dashboard import paging
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.notice import redirect_with
from rtms.dashboard.paging import ROW_ID, SHORTEST_PREFIX, Key, Page, Span, Way
from rtms.dashboard.search import BadQuestion, moments, read_day, read_key, read_text
from rtms.services import services

OUTCOMES = ("accepted", "duplicate", "ignored", "unknown", "rejected")
NAMES = (
    *(
        f"{product}.rtms_{verb}"
        for product in ("meeting", "webinar", "session")
        for verb in ("started", "stopped", "interrupted")
    ),
    "rtms.concurrency_near_limit",
    "rtms.concurrency_limited",
)
_COLUMNS = tuple(
    EVENTS.c[name] for name in ("id", "source", "event", "rtms_stream_id", "received_at", "outcome")
)
_MEETINGS = 20  # of one stream that a page names
# Marks that turn text around would make a body look like another one; half a surrogate pair is no
# text at all. Both are shown as JSON can write them.
_ESCAPED = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the list's form says."""

    event: str = ""
    stream: str = ""
    outcome: str = ""
    day: date | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for: all events."""
        return self == Asked()

    def arguments(self) -> dict[str, str]:
        """It as the arguments of a link, without the key."""
        given = {
            "event": self.event,
            "stream": self.stream,
            "outcome": self.outcome,
            "day": self.day.isoformat() if self.day else "",
        }
        return {name: value for name, value in given.items() if value}


def read(arguments: Mapping[str, str]) -> Asked:
    """Read what the list's form says.

    Raises:
        BadQuestion: a value means nothing.
    """
    asked = Asked(
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


def find(connection: Connection, asked: Asked, key: Key) -> Page:
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
            paging.beginning_with(EVENTS, EVENTS.c.rtms_stream_id, asked.stream),
        ]
    has_more = asked.event or asked.outcome or asked.day
    return paging.fetch(
        connection,
        EVENTS,
        ways,
        key,
        span=span,
        wanted=(lambda c: _wanted(asked, c)) if has_more else None,
        by=("event", "outcome", "received_at") if has_more else (),
        columns=_COLUMNS,
    )


def _wanted(asked: Asked, c: Any) -> list[sa.ColumnElement[bool]]:
    wanted = []
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
    page, trouble, asked = None, None, Asked()
    try:
        asked, key = read(request.args), read_key(request.args)
        with services().database.read() as connection:
            page = find(connection, asked, key)
    except BadQuestion as error:
        trouble = str(error)
    body = render_template(
        "events.html", asked=asked, page=page, trouble=trouble, outcomes=OUTCOMES, names=NAMES
    )
    return page_or_json(body, trouble, 400) if trouble else make_response(body)


@blueprint.get(f"/events/<{ROW_ID}:id>")
def event(id: int) -> str:
    """One event, with its body as it came."""
    with services().database.read() as connection:
        row = _row(connection, id)
        meetings = connection.execute(
            sa.select(
                CONNECTS.c.id, CONNECTS.c.product, CONNECTS.c.meeting_id, CONNECTS.c.meeting_uuid,
                CONNECTS.c.state, CONNECTS.c.reason,
            )
            .where(CONNECTS.c.rtms_stream_id == row["rtms_stream_id"])
            .order_by(CONNECTS.c.event_ts.desc())
            .limit(_MEETINGS)
        ).all()  # fmt: skip
    return render_template(
        "event.html",
        row={name: value for name, value in row.items() if name != "payload"},
        body=pretty(row["payload"]),
        meetings=[dict(each._mapping) for each in meetings],
        is_zooms=row["source"] == Source.ZOOM,
    )


@blueprint.post(f"/events/<{ROW_ID}:id>/replay")
def event_replay(id: int) -> Response:
    """Run a stored event through the rules again, as if it had just arrived."""
    its = services()
    with its.database.read() as connection:
        _row(connection, id)
    taken = its.intake.replay(id)
    url = url_for("dashboard.event", id=id)
    if taken is None:
        text = f"Event {id} is not one of Zoom's: there is nothing to replay."
        return redirect_with(url, text, "bad")
    if taken.is_due and its.dispatcher:
        its.dispatcher.wake(CONNECT_LANE)
    about = f" (meeting {taken.row_id})" if taken.row_id else ""
    text = f"Event {id} was replayed ({taken.outcome}): {taken.detail}{about}."
    return redirect_with(url, text, "bad" if taken.outcome == "rejected" else "good")


def pretty(payload: Any) -> str:
    """A body as JSON to read; what would turn its text around is written as an escape."""
    text = json.dumps(payload, indent=2, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _row(connection: Connection, id: int) -> dict[str, Any]:
    row = connection.execute(sa.select(EVENTS).where(EVENTS.c.id == id)).one_or_none()
    if row is None:
        abort(404, f"There is no event {id}. The list of events shows those there are.")
    return dict(row._mapping)
