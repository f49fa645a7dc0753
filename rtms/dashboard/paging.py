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

from rtms.dashboard.index_scans import Key, Span, Way, near, turned
from rtms.db.database import AnyRow

# How a route takes the id of a row: no larger than either engine's.
ROW_ID = f"int(max={2**63 - 1})"

PER_PAGE = 50
# Rows that one page looks at, at most: some tens of milliseconds on either engine.
LOOK_AT = 4_000

# Rows are written nearly in the order in which they came: not by more than so many rows and, where
# the clocks of two machines differ, so much time.
_SLACK_ROWS = 1_000
_SLACK = timedelta(minutes=10)

Wanted = Callable[[Any], Sequence[sa.ColumnElement[bool]]]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows, newest first, and the keys of the pages beside them."""

    rows: Sequence[AnyRow]
    newer: int | None  # `after` of the page with newer rows
    older: int | None  # `before` of the page with older rows
    was_cut: bool  # rows were left unlooked-at; the last of the two keys leads to them


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
    within = whole = (span or Span()).beyond(key)
    horizon = None
    if any(way.holds for way in ways):
        within, horizon = near(connection, table, within, up=up)
    looked = [way.ids(connection, table, within, up=up, limit=limit, by=by) for way in ways]
    chosen = [sa.select(each.c.id).where(*(wanted(each.c) if wanted else ())) for each in looked]
    ids = (chosen[0] if len(chosen) == 1 else sa.union(*chosen)).subquery()
    picked = sa.select(ids.c.id).order_by(turned(ids.c.id, up)).limit(PER_PAGE + 1).subquery()
    rows = connection.execute(
        sa.select(*(columns or table.c))
        .where(table.c.id.in_(sa.select(picked.c.id)))
        .order_by(turned(table.c.id, up))
    ).all()
    # One way alone has found no row that is beyond what it looked at; several may.
    if wanted and (len(ways) > 1 or len(rows) <= PER_PAGE):
        ordered = [each for each, way in zip(looked, ways, strict=True) if not way.few]
        ends = [*_ends(connection, ordered, up=up), *([horizon] if horizon else [])]
        horizon = (min(ends) if up else max(ends)) if ends else None
    if horizon == whole.low + 1 and not up:
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


def _ends(connection: Connection, looked: Sequence[Any], *, up: bool) -> list[int]:
    """The last id that was looked at along each way that was not looked along to its end."""
    ends: list[int] = []
    for each in looked:
        far = sa.func.max(each.c.id) if up else sa.func.min(each.c.id)
        count, end = connection.execute(sa.select(sa.func.count(), far).select_from(each)).one()
        if count == LOOK_AT:
            ends.append(end)
    return ends
