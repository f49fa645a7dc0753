"""Lists that are paged by key, which is fast however long the table is.

Conditions without an index are tested on the rows that an index finds, up to a limit. If the limit
is reached, the page says so, and its next key continues from the last row that was tested: every
row is found in the end, and no page takes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rtms.dashboard.index_scans import IndexScan, Key, Span, in_direction, limit_search
from rtms.db.database import AnyRow

# The converter for the id of a row in a route: no larger than either engine's.
ROW_ID = f"int(max={2**63 - 1})"

PER_PAGE = 50
# Rows that one page tests at most. This takes some tens of milliseconds on either engine.
MAX_TESTED = 4_000

# Rows are written nearly in the order in which they were received. They are out of order by at
# most this many rows and, if the clocks of two machines differ, this much time.
_SLACK_ROWS = 1_000
_SLACK = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows, newest first, and the keys of the next pages in both directions."""

    rows: Sequence[AnyRow]
    newer: int | None  # `after` of the page with newer rows
    older: int | None  # `before` of the page with older rows
    is_cut: bool  # rows were not tested; the key in the direction of paging leads to them


def fetch(
    connection: Connection,
    table: sa.Table,
    scans: Sequence[IndexScan],
    key: Key,
    *,
    span: Span | None = None,
    wanted: Sequence[sa.ColumnElement[bool]] = (),
    columns: Sequence[sa.ColumnElement[Any]] = (),
) -> Page:
    """Read one page of the rows that any of the scans finds.

    Args:
        span: only ids inside it.
        wanted: conditions without an index.
        columns: the columns to read; by default all.
    """
    up = key.after is not None
    within = (span or Span()).beyond(key)
    found: set[int] = set()
    ends: list[int] = []  # the last id that was tested, of each scan that has more
    ends_of_indexes: list[int] = []
    for scan in scans:
        ids, end = _look(connection, table, scan, within, up=up, wanted=wanted)
        found.update(ids)
        if end is not None and (up or end > within.low + 1):
            ends.append(end)
            if not scan.contains:
                ends_of_indexes.append(end)
    nearest = sorted(found, reverse=not up)
    chosen = _until(nearest, ends, up=up)
    if up and not ends and len(chosen) <= PER_PAGE:  # the newest page is a whole one
        return fetch(connection, table, scans, Key(), span=span, wanted=wanted, columns=columns)
    more = len(chosen) > PER_PAGE
    horizon = None if more or not ends else (min(ends) if up else max(ends))
    if horizon is not None and not up:  # rows found by an id are shown however old they are
        chosen = _until(nearest, ends_of_indexes, up=up)
    rows = connection.execute(
        sa.select(*(columns or table.c))
        .where(table.c.id.in_(chosen[:PER_PAGE]))
        .order_by(table.c.id.desc())
    ).all()
    is_cut = horizon is not None
    if key.after is not None:
        newer = rows[0].id if more else horizon
        return Page(rows=rows, newer=newer, older=key.after + 1, is_cut=is_cut)
    newer = None
    if key.before is not None:
        newer = rows[0].id if rows else key.before - 1
    return Page(rows=rows, newer=newer, older=rows[-1].id if more else horizon, is_cut=is_cut)


def _look(
    connection: Connection,
    table: sa.Table,
    scan: IndexScan,
    span: Span,
    *,
    up: bool,
    wanted: Sequence[sa.ColumnElement[bool]],
) -> tuple[Sequence[int], int | None]:
    """Return the nearest ids in a scan, and the last id that was tested if there are more."""
    last = None
    if scan.contains:
        span, last = limit_search(connection, table, span, up=up)
    fits = [sa.case((sa.and_(*wanted), 1), else_=0).label("fits")] if wanted else []
    limit = MAX_TESTED if wanted else PER_PAGE + 1
    near = scan.ids(connection, table, span, up=up, limit=limit, more=fits)
    found = sa.select(near.c.id).order_by(in_direction(near.c.id, up)).limit(PER_PAGE + 1)
    if not wanted:
        ids = connection.scalars(found).all()
    else:
        far = sa.func.max(near.c.id) if up else sa.func.min(near.c.id)
        seen = sa.select(sa.func.count().label("number"), far.label("far")).select_from(near)
        both = seen.subquery(), found.where(near.c.fits == 1).subquery()
        joined = sa.outerjoin(*both, sa.true())
        rows = connection.execute(sa.select(*both).select_from(joined)).all()  # at least one
        ids = [row.id for row in rows if row.id is not None]
        if rows[0].number == MAX_TESTED and not scan.few:
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
    """Return a span of ids that has all rows received between two times; None if there are none.

    Args:
        since: the beginning, included.
        until: the end, excluded.
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
