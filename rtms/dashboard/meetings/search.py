"""Which meetings a person looks for: what the list's form says, and the rows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, FOLLOWED, PENDING, Reason, State
from rtms.dashboard import paging
from rtms.dashboard.index_scans import SHORTEST_PREFIX, Key, Span, Way, beginning_with
from rtms.dashboard.paging import Page
from rtms.db.database import AnyRow
from rtms.text import search_text, typed, typed_number

LONGEST = 255  # characters; no id is longer
_MOST = 2**62  # no id is larger

# What the list's form offers as a state.
CHOICES: tuple[str, ...] = (
    *(State.PENDING, State.CONNECTED, State.ENDED, State.DONE, State.FAILED),
    *(f"failed: {r}" for r in (Reason.REFUSED, Reason.WINDOW_EXPIRED, Reason.RECALL_FAILED)),
    State.SKIPPED,
    *(f"skipped: {r}" for r in (Reason.STOPPED_FIRST, Reason.UNSUPPORTED, Reason.NOT_WANTED)),
)

# The indexes for searching hold what wants nothing any more. What does is few, and has indexes of
# its own; together they are all rows.
_SETTLED = sa.text("due_at IS NULL")
_HAS_TOPIC = sa.text("topic_search IS NOT NULL")
_UNSETTLED = (sa.text(PENDING), sa.text(FOLLOWED))


class BadQuestion(ValueError):
    """A form was filled in so that it means nothing. The message says how it should be."""


@dataclass(frozen=True, kw_only=True)
class MeetingSearch:
    """What the list's form says."""

    q: str = ""
    state: str | None = None
    reason: str | None = None
    day: date | None = None
    key: Key = field(default_factory=Key)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for: all meetings."""
        return not (self.q or self.state or self.day)

    def arguments(self) -> dict[str, str]:
        """It as the arguments of a link, without the key."""
        state = f"{self.state}: {self.reason}" if self.reason else self.state
        given = {"q": self.q, "state": state, "day": self.day and self.day.isoformat()}
        return {name: value for name, value in given.items() if value}


def read(arguments: Mapping[str, str]) -> MeetingSearch:
    """Read what the list's form says.

    Raises:
        BadQuestion: a value means nothing.
    """
    state, reason = _read_state(arguments.get("state", ""))
    return MeetingSearch(
        q=read_text(arguments.get("q", "")),
        state=state,
        reason=reason,
        day=read_day(arguments.get("day", "")),
        key=read_key(arguments),
    )


def read_text(text: str) -> str:
    """What was typed or pasted, on one line, without what cannot be seen.

    Raises:
        BadQuestion: it is longer than any id.
    """
    text = typed(text)
    if len(text) > LONGEST:
        raise BadQuestion(f"Search for {LONGEST} characters at most.")
    return text


def read_day(text: str) -> date | None:
    """A day as a form sends it.

    Raises:
        BadQuestion: it is none.
    """
    text = typed(text)
    if not text:
        return None
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = date.min
        if 1970 <= day.year < 9999:
            return day
    raise BadQuestion("This is no day: write it as 2026-11-22 (UTC).")


def read_key(arguments: Mapping[str, str]) -> Key:
    """Where a page begins.

    Raises:
        BadQuestion: the key is none.
    """
    before, after = (arguments.get(name, "") for name in ("before", "after"))
    if before and after:
        raise BadQuestion("A page begins `before` an id or `after` one, not both.")
    for text in filter(None, (before, after)):
        is_number = len(text) < 20 and text.isascii() and text.isdigit()
        if not (is_number and int(text) < _MOST):
            raise BadQuestion("A page's key is the id of a row.")
    return Key(before=int(before) if before else None, after=int(after) if after else None)


def moments(day: date) -> tuple[datetime, datetime]:
    """A day's first moment, and the next day's, in UTC."""
    since = datetime.combine(day, time(), UTC)
    return since, since + timedelta(days=1)


def find(
    connection: Connection, asked: MeetingSearch, columns: Sequence[sa.ColumnElement[Any]]
) -> Page:
    """The page of meetings that was asked for."""
    span = Span()
    if asked.day:
        found = paging.span_of(connection, CONNECTS, *moments(asked.day))
        if found is None:
            return Page(rows=(), newer=None, older=None, was_cut=False)
        span = found
    if asked.q:
        ways = [*_ways_to(asked.q), *_ways_by_topic(asked.q)]
    elif asked.state:
        ways = [Way(first=(CONNECTS.c.state, asked.state))]
    else:
        ways = [Way()]
    # The way by state has answered for the state.
    left = asked if asked.q else replace(asked, state=None)
    return paging.fetch(
        connection, CONNECTS, ways, asked.key, span=span, wanted=_wanted(left), columns=columns
    )


def of_meeting(
    connection: Connection,
    column: sa.ColumnElement[Any],
    name: str,
    columns: Sequence[sa.ColumnElement[Any]],
) -> Sequence[AnyRow]:
    """The newest rows of a meeting.

    Args:
        column: `meeting_uuid` or `meeting_id`.
        name: the meeting's.
        columns: what to read of each row.
    """
    ways = [
        Way(where=(_SETTLED,), first=(column, name)),
        *(Way(where=(which, column == name), few=True) for which in _UNSETTLED),
    ]
    return paging.fetch(connection, CONNECTS, ways, Key(), columns=columns).rows


def _wanted(asked: MeetingSearch) -> list[sa.ColumnElement[bool]]:
    c, wanted = CONNECTS.c, []
    if asked.state:
        wanted.append(c.state == asked.state)
    if asked.reason:
        wanted.append(c.reason == asked.reason)
    if asked.day:
        since, until = moments(asked.day)
        wanted += [c.received_at >= since, c.received_at < until]
    return wanted


def _ways_to(q: str) -> list[Way]:
    """Every way by which an id may lead to meetings: nobody need say what kind of id it is."""
    number = typed_number(q) or ""
    numbers = {q, number} - {""}
    c = CONNECTS.c
    ways = [
        *(Way(where=(_SETTLED,), first=(c.meeting_id, each)) for each in sorted(numbers)),
        Way(where=(_SETTLED,), first=(c.meeting_uuid, q)),
        *(
            Way(where=(_SETTLED,), first=(column, q))
            for column in (c.operator_id, c.account_id, c.host_id)
        ),
        Way(where=(c.recall_id == q,), few=True),
        Way(where=(c.rtms_stream_id == q,), few=True),
    ]
    named = sa.or_(
        c.meeting_id.in_(numbers),
        *(column == q for column in (c.meeting_uuid, c.operator_id, c.account_id, c.host_id)),
    )
    ways += [Way(where=(which, named), few=True) for which in _UNSETTLED]
    if number and len(number) < 19:
        ways.append(Way(where=(c.id == int(number),), few=True))
    if len(q) >= SHORTEST_PREFIX:
        ways.append(beginning_with(CONNECTS, c.rtms_stream_id, q))
    return ways


def _ways_by_topic(q: str) -> list[Way]:
    """The way to the meetings whose topic has the text in it, as people see it."""
    text = search_text(q)
    if not text:
        return []
    return [Way(where=(_HAS_TOPIC,), holds=(CONNECTS.c.topic_search, text))]


def _read_state(text: str) -> tuple[str | None, str | None]:
    state, _, reason = (part.strip() for part in text.partition(":"))
    said = f"{state}: {reason}" if reason else state
    if not said:
        return None, None
    if said not in CHOICES:
        raise BadQuestion(f"There is no such state. There are: {', '.join(CHOICES)}.")
    return state, reason or None
