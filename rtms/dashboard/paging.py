"""Lists that are read page by page, by key: quick however long the table is.

What no index answers is looked for among the rows that an index does name, and among so many of
them at most. Where that was not enough the page says so, and its next key goes on from the last
row that was looked at: every row is found in the end, and no page takes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rtms.dashboard.index_scans import Key, Span, Way, look_through, turned
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
    wanted: Sequence[sa.ColumnElement[bool]] = (),
    columns: Sequence[sa.ColumnElement[Any]] = (),
) -> Page:
    """Read one page of the rows that are on any of the ways.

    Args:
        span: only ids inside it.
        wanted: conditions that no index answers.
        columns: what to read of each row; by default everything.
    """
    up = key.after is not None
    within = (span or Span()).beyond(key)
    found: set[int] = set()
    ends: list[int] = []  # the last id that was looked at, of each way that goes on
    ends_of_indexes: list[int] = []
    for way in ways:
        ids, end = _look(connection, table, way, within, up=up, wanted=wanted)
        found.update(ids)
        if end is not None and (up or end > within.low + 1):
            ends.append(end)
            if not way.holds:
                ends_of_indexes.append(end)
    nearest = sorted(found, reverse=not up)
    chosen = _until(nearest, ends, up=up)
    if up and not ends and len(chosen) <= PER_PAGE:  # the newest page is a whole one
        return fetch(connection, table, ways, Key(), span=span, wanted=wanted, columns=columns)
    more = len(chosen) > PER_PAGE
    horizon = None if more or not ends else (min(ends) if up else max(ends))
    if horizon is not None and not up:  # what an id leads to is shown at once, however old it is
        chosen = _until(nearest, ends_of_indexes, up=up)
    rows = connection.execute(
        sa.select(*(columns or table.c))
        .where(table.c.id.in_(chosen[:PER_PAGE]))
        .order_by(table.c.id.desc())
    ).all()
    was_cut = horizon is not None
    if key.after is not None:
        newer = rows[0].id if more else horizon
        return Page(rows=rows, newer=newer, older=key.after + 1, was_cut=was_cut)
    newer = None
    if key.before is not None:
        newer = rows[0].id if rows else key.before - 1
    return Page(rows=rows, newer=newer, older=rows[-1].id if more else horizon, was_cut=was_cut)


def _look(
    connection: Connection,
    table: sa.Table,
    way: Way,
    span: Span,
    *,
    up: bool,
    wanted: Sequence[sa.ColumnElement[bool]],
) -> tuple[Sequence[int], int | None]:
    """Return the nearest ids along a way, and the last id that was looked at where it goes on."""
    last = None
    if way.holds:
        span, last = look_through(connection, table, span, up=up)
    fits = [sa.case((sa.and_(*wanted), 1), else_=0).label("fits")] if wanted else []
    limit = LOOK_AT if wanted else PER_PAGE + 1
    near = way.ids(connection, table, span, up=up, limit=limit, more=fits)
    found = sa.select(near.c.id).order_by(turned(near.c.id, up)).limit(PER_PAGE + 1)
    if not wanted:
        ids = connection.scalars(found).all()
    else:
        far = sa.func.max(near.c.id) if up else sa.func.min(near.c.id)
        seen = sa.select(sa.func.count().label("number"), far.label("far")).select_from(near)
        both = seen.subquery(), found.where(near.c.fits == 1).subquery()
        joined = sa.outerjoin(*both, sa.true())
        rows = connection.execute(sa.select(*both).select_from(joined)).all()  # one at least
        ids = [row.id for row in rows if row.id is not None]
        if rows[0].number == LOOK_AT and not way.few:
            last = rows[0].far
    return ids, None if len(ids) > PER_PAGE else last


def _until(ids: Sequence[int], ends: Sequence[int], *, up: bool) -> Sequence[int]:
    """Return the ids that are not beyond any of the ends."""
    if up:
        return [id for id in ids if id <= min(ends, default=id)]
    return [id for id in ids if id >= max(ends, default=id)]


def span_of(
    connection: Connection, table: sa.Table, since: datetime, until: datetime
) -> Span | None:
    """Return the ids among which all rows are that were received between two moments; None where
    there are none.

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
