"""The search for meetings: reads the list's form, and finds the rows."""

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
from rtms.dashboard.index_scans import SHORTEST_PREFIX, IndexScan, Key, Span, beginning_with
from rtms.dashboard.paging import Page
from rtms.db.database import AnyRow
from rtms.text import search_text, typed, typed_number

LONGEST = 255  # characters; no id is longer
_MOST = 2**62  # no id is larger

# The choices for the state in the list's form.
CHOICES: tuple[str, ...] = (
    *(State.PENDING, State.CONNECTED, State.ENDED, State.DONE, State.FAILED),
    *(f"failed: {r}" for r in (Reason.REFUSED, Reason.WINDOW_EXPIRED, Reason.RECALL_FAILED)),
    State.SKIPPED,
    *(f"skipped: {r}" for r in (Reason.STOPPED_FIRST, Reason.UNSUPPORTED, Reason.NOT_WANTED)),
)

# The indexes for searching contain the rows that are settled. The others are few, and have indexes
# of their own. Together they are all rows.
_SETTLED = sa.text("due_at IS NULL")
_HAS_TOPIC = sa.text("topic_search IS NOT NULL")
_UNSETTLED = (sa.text(PENDING), sa.text(FOLLOWED))


class InvalidSearch(ValueError):
    """A form's value is invalid. The message says what is accepted."""


@dataclass(frozen=True, kw_only=True)
class MeetingSearch:
    """The fields of the list's form."""

    q: str = ""
    state: str | None = None
    reason: str | None = None
    day: date | None = None
    key: Key = field(default_factory=Key)

    @property
    def is_plain(self) -> bool:
        """Whether there is no filter: all meetings."""
        return not (self.q or self.state or self.day)

    def arguments(self) -> dict[str, str]:
        """Return the filters as the arguments of a link, without the page's key."""
        state = f"{self.state}: {self.reason}" if self.reason else self.state
        given = {"q": self.q, "state": state, "day": self.day and self.day.isoformat()}
        return {name: value for name, value in given.items() if value}


def read(arguments: Mapping[str, str]) -> MeetingSearch:
    """Read the list's form.

    Raises:
        InvalidSearch: a value is invalid.
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
    """Return what was typed or pasted, in one line and without invisible characters.

    Raises:
        InvalidSearch: it is longer than any id.
    """
    text = typed(text)
    if len(text) > LONGEST:
        raise InvalidSearch(f"Enter at most {LONGEST} characters.")
    return text


def read_day(text: str) -> date | None:
    """Read a date as a form sends it.

    Raises:
        InvalidSearch: it is not a date.
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
    raise InvalidSearch("This is not a date. Enter it as 2026-11-22 (UTC).")


def read_key(arguments: Mapping[str, str]) -> Key:
    """Read where a page begins.

    Raises:
        InvalidSearch: the key is invalid.
    """
    before, after = (arguments.get(name, "") for name in ("before", "after"))
    if before and after:
        raise InvalidSearch("Use either `before` or `after`, not both.")
    for text in filter(None, (before, after)):
        is_number = len(text) < 20 and text.isascii() and text.isdigit()
        if not (is_number and int(text) < _MOST):
            raise InvalidSearch("`before` and `after` must be the id of a row.")
    return Key(before=int(before) if before else None, after=int(after) if after else None)


def moments(day: date) -> tuple[datetime, datetime]:
    """Return when a day begins and when the next one does, in UTC."""
    since = datetime.combine(day, time(), UTC)
    return since, since + timedelta(days=1)


def find(
    connection: Connection, query: MeetingSearch, columns: Sequence[sa.ColumnElement[Any]]
) -> Page:
    """Return a page of the meetings that match the filters."""
    span = Span()
    if query.day:
        found = paging.span_of(connection, CONNECTS, *moments(query.day))
        if found is None:
            return Page(rows=(), newer=None, older=None, is_cut=False)
        span = found
    if query.q:
        scans = [*_scans_by_id(query.q), *_scans_by_topic(query.q)]
    elif query.state:
        scans = [IndexScan(first=(CONNECTS.c.state, query.state))]
    else:
        scans = [IndexScan()]
    # The scan by state has tested the state already.
    left = query if query.q else replace(query, state=None)
    return paging.fetch(
        connection, CONNECTS, scans, query.key, span=span, wanted=_wanted(left), columns=columns
    )


def rows_of_meeting(
    connection: Connection,
    column: sa.ColumnElement[Any],
    name: str,
    columns: Sequence[sa.ColumnElement[Any]],
) -> Sequence[AnyRow]:
    """Return the newest rows of a meeting.

    Args:
        column: `meeting_uuid` or `meeting_id`.
        name: the meeting's value in that column.
        columns: the columns to read.
    """
    scans = [
        IndexScan(where=(_SETTLED,), first=(column, name)),
        *(IndexScan(where=(which, column == name), few=True) for which in _UNSETTLED),
    ]
    return paging.fetch(connection, CONNECTS, scans, Key(), columns=columns).rows


def _wanted(query: MeetingSearch) -> list[sa.ColumnElement[bool]]:
    c, wanted = CONNECTS.c, []
    if query.state:
        wanted.append(c.state == query.state)
    if query.reason:
        wanted.append(c.reason == query.reason)
    if query.day:
        since, until = moments(query.day)
        wanted += [c.received_at >= since, c.received_at < until]
    return wanted


def _scans_by_id(q: str) -> list[IndexScan]:
    """Return scans of every index in which the id may be: its kind need not be given."""
    number = typed_number(q) or ""
    numbers = {q, number} - {""}
    c = CONNECTS.c
    scans = [
        *(IndexScan(where=(_SETTLED,), first=(c.meeting_id, each)) for each in sorted(numbers)),
        IndexScan(where=(_SETTLED,), first=(c.meeting_uuid, q)),
        *(
            IndexScan(where=(_SETTLED,), first=(column, q))
            for column in (c.operator_id, c.account_id, c.host_id)
        ),
        IndexScan(where=(c.recall_id == q,), few=True),
        IndexScan(where=(c.rtms_stream_id == q,), few=True),
    ]
    named = sa.or_(
        c.meeting_id.in_(numbers),
        *(column == q for column in (c.meeting_uuid, c.operator_id, c.account_id, c.host_id)),
    )
    scans += [IndexScan(where=(which, named), few=True) for which in _UNSETTLED]
    if number and len(number) < 19:
        scans.append(IndexScan(where=(c.id == int(number),), few=True))
    if len(q) >= SHORTEST_PREFIX:
        scans.append(beginning_with(CONNECTS, c.rtms_stream_id, q))
    return scans


def _scans_by_topic(q: str) -> list[IndexScan]:
    """Return a scan of the meetings whose topic contains the text, as people see it."""
    text = search_text(q)
    if not text:
        return []
    return [IndexScan(where=(_HAS_TOPIC,), contains=(CONNECTS.c.topic_search, text))]


def _read_state(text: str) -> tuple[str | None, str | None]:
    state, _, reason = (part.strip() for part in text.partition(":"))
    said = f"{state}: {reason}" if reason else state
    if not said:
        return None, None
    if said not in CHOICES:
        raise InvalidSearch(f"Unknown state. Choose one of: {', '.join(CHOICES)}.")
    return state, reason or None
