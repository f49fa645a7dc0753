"""Lists that are read page by page, by key: quick however long the table is.

What no index answers is looked for among the rows that an index does name, and among so many of
them at most. Where that was not enough the page says so, and its next key goes on from the last
row that was looked at: every row is found in the end, and no page takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rtms.database import AnyRow

# How a route takes the id of a row: no larger than either engine's.
ROW_ID = f"int(max={2**63 - 1})"

PER_PAGE = 50
# Rows that one page looks at, at most: some tens of milliseconds on either engine.
LOOK_AT = 4_000
SHORTEST_PREFIX = 6  # characters
_PREFIXED = 1_000  # rows that begin like a prefix, at most

# Rows are written nearly in the order in which they came: not by more than so many rows and, where
# the clocks of two machines differ, so much time.
_SLACK_ROWS = 1_000
_SLACK = timedelta(minutes=10)
_NO_END = 2**62

Wanted = Callable[[Any], Sequence[sa.ColumnElement[bool]]]


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a page begins: below one id, or above one; neither is the newest page."""

    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, kw_only=True)
class Span:
    """Ids between two, without these. By default all."""

    low: int = 0
    high: int = _NO_END

    def beyond(self, key: Key) -> Span:
        """The part of it that a page's key leaves."""
        return Span(
            low=max(self.low, key.after or 0),
            high=self.high if key.before is None else min(self.high, key.before),
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows, newest first, and the keys of the pages beside them."""

    rows: Sequence[AnyRow]
    newer: int | None  # `after` of the page with newer rows
    older: int | None  # `before` of the page with older rows
    was_cut: bool  # rows were left unlooked-at; the last of the two keys leads to them


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to rows of a table: what an index answers.

    Conditions of a partial index are written out as literal text: neither engine uses one for a
    value that it does not see.
    """

    where: tuple[sa.ColumnElement[bool] | sa.TextClause, ...] = ()
    # The index's first column, with its value; the second is the id.
    first: tuple[sa.ColumnElement[Any], Any] | None = None
    few: bool = False  # so few that all are taken, in no order

    def ids(
        self,
        connection: Connection,
        table: sa.Table,
        span: Span,
        *,
        up: bool,
        limit: int,
        by: Sequence[str],
    ) -> Any:
        """The nearest ids of a span along this way, each with the columns named."""
        chosen = sa.select(table.c.id, *(table.c[name] for name in by)).where(*self.where)
        order: list[sa.ColumnElement[Any]] = [table.c.id]
        if self.first and connection.dialect.name == "postgresql":
            # Compared and ordered as a pair, which only this index answers. With a plain equality
            # it may walk along the ids instead, and far, where it believes the value is frequent.
            column, value = self.first
            order.insert(0, column)
            place = sa.tuple_(column, table.c.id)
            chosen = chosen.where(place > (value, span.low), place < (value, span.high))
        else:
            # What is few has a better index than that of the ids, which a sum keeps out of it.
            id = table.c.id + 0 if self.few else table.c.id
            chosen = chosen.where(id > span.low, id < span.high)
            if self.first:
                chosen = chosen.where(self.first[0] == self.first[1])
        if self.few:  # a limit that is none keeps what is asked of the rows outside of the way
            return chosen.limit(_NO_END).subquery()
        return chosen.order_by(*(_turned(each, up) for each in order)).limit(limit).subquery()


def beginning_with(table: sa.Table, column: sa.ColumnElement[str], prefix: str) -> Way:
    """The rows whose indexed column begins with a prefix, among so many at most.

    Where they begin is found by the index. Where they end is not asked of it: how text is sorted
    is the database's affair.
    """
    near = (
        sa.select(table.c.id, column.label("text"))
        .where(column >= prefix)
        .order_by(column)
        .limit(_PREFIXED)
        .subquery()
    )
    begins = sa.func.substr(near.c.text, 1, len(prefix)) == prefix
    return Way(where=(table.c.id.in_(sa.select(near.c.id).where(begins)),), few=True)


def fetch(
    connection: Connection,
    table: sa.Table,
    ways: Sequence[Way],
    key: Key,
    *,
    span: Span | None = None,
    wanted: Wanted | None = None,
    by: Sequence[str] = (),
    columns: Sequence[sa.ColumnElement[Any]] = (),
) -> Page:
    """Read one page of the rows that are on any of the ways.

    Args:
        span: only ids inside it.
        wanted: what no index answers, said of the columns `by`.
        by: the columns that `wanted` looks at.
        columns: what to read of each row; by default everything.
    """
    up = key.after is not None
    limit = LOOK_AT if wanted else PER_PAGE + 1
    within = (span or Span()).beyond(key)
    looked = [way.ids(connection, table, within, up=up, limit=limit, by=by) for way in ways]
    chosen = [sa.select(each.c.id).where(*(wanted(each.c) if wanted else ())) for each in looked]
    ids = (chosen[0] if len(chosen) == 1 else sa.union(*chosen)).subquery()
    picked = sa.select(ids.c.id).order_by(_turned(ids.c.id, up)).limit(PER_PAGE + 1).subquery()
    rows = connection.execute(
        sa.select(*(columns or table.c))
        .where(table.c.id.in_(sa.select(picked.c.id)))
        .order_by(_turned(table.c.id, up))
    ).all()
    horizon = None
    # One way alone has found no row that is beyond what it looked at; several may.
    if wanted and (len(ways) > 1 or len(rows) <= PER_PAGE):
        ordered = [each for each, way in zip(looked, ways, strict=True) if not way.few]
        horizon = _horizon(connection, ordered, up=up)
    if horizon == within.low + 1 and not up:
        horizon = None  # there is nothing beyond it
    if horizon is not None:
        rows = [row for row in rows if (row.id <= horizon if up else row.id >= horizon)]
    if up and horizon is None and len(rows) <= PER_PAGE:  # the newest page is a whole one
        newest = Key()
        return fetch(
            connection, table, ways, newest, span=span, wanted=wanted, by=by, columns=columns
        )
    return _page(rows, key, horizon)


def span_of(
    connection: Connection, table: sa.Table, since: datetime, until: datetime
) -> Span | None:
    """The ids among which all rows are that were received between two moments; None where there
    are none.

    Args:
        since: the first moment.
        until: the first moment after the last.
    """
    at = table.c.received_at
    first = connection.scalar(
        sa.select(table.c.id).where(at >= since - _SLACK, at < until).order_by(at).limit(1)
    )
    last = connection.scalar(
        sa.select(table.c.id).where(at >= since, at < until + _SLACK).order_by(at.desc()).limit(1)
    )
    if first is None or last is None:
        return None
    return Span(low=max(min(first, last) - _SLACK_ROWS, 0), high=max(first, last) + _SLACK_ROWS)


def _page(rows: Sequence[AnyRow], key: Key, horizon: int | None) -> Page:
    more = len(rows) > PER_PAGE
    shown = list(rows[:PER_PAGE])
    was_cut = horizon is not None and not more
    if key.after is not None:
        shown.reverse()
        newer = shown[0].id if more else horizon
        return Page(rows=shown, newer=newer, older=key.after + 1, was_cut=was_cut)
    newer = None
    if key.before is not None:
        newer = shown[0].id if shown else key.before - 1
    older = shown[-1].id if more else horizon
    return Page(rows=shown, newer=newer, older=older, was_cut=was_cut)


def _horizon(connection: Connection, looked: Sequence[Any], *, up: bool) -> int | None:
    """The last id up to which every way was looked along; None where all were to their ends."""
    ends: list[int] = []
    for each in looked:
        far = sa.func.max(each.c.id) if up else sa.func.min(each.c.id)
        count, end = connection.execute(sa.select(sa.func.count(), far).select_from(each)).one()
        if count == LOOK_AT:
            ends.append(end)
    return (min(ends) if up else max(ends)) if ends else None


def _turned(column: sa.ColumnElement[Any], up: bool) -> sa.ColumnElement[Any]:
    return column.asc() if up else column.desc()
