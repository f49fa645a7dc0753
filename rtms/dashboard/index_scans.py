"""Scans of a table along an index, in the order of the ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

SHORTEST_PREFIX = 6  # characters
# Ids that one page searches for a substring at most. This takes some tens of milliseconds.
MAX_SEARCHED = 200_000
_PREFIXED = 1_000  # rows with a prefix, at most
_NO_END = 2**62


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a page begins: below one id, or above one. Neither means the newest page."""

    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, kw_only=True)
class Span:
    """The ids between two bounds, both excluded. By default all."""

    low: int = 0
    high: int = _NO_END

    def beyond(self, key: Key) -> Span:
        """Return the part of it that is beyond a page's key."""
        return Span(
            low=max(self.low, key.after or 0),
            high=self.high if key.before is None else min(self.high, key.before),
        )


@dataclass(frozen=True, kw_only=True)
class IndexScan:
    """A scan of one index.

    Conditions of a partial index are literal text: neither engine uses such an index if the value
    is a bound parameter.
    """

    where: tuple[sa.ColumnElement[bool] | sa.TextClause, ...] = ()
    # The index's first column, with its value; the second is the id.
    first: tuple[sa.ColumnElement[Any], Any] | None = None
    few: bool = False  # so few that all are read, in no order
    # A column of an index that begins with the id, and the text that it must contain.
    contains: tuple[sa.ColumnElement[Any], str] | None = None

    def ids(
        self,
        connection: Connection,
        table: sa.Table,
        span: Span,
        *,
        up: bool,
        limit: int,
        more: Sequence[sa.ColumnElement[Any]],
    ) -> Any:
        """Return the nearest ids of a span in this scan, each with more columns."""
        if self.contains:
            return self._ids_containing(connection, table, span, up=up, limit=limit, more=more)
        chosen = sa.select(table.c.id, *more).where(*self.where)
        order: list[sa.ColumnElement[Any]] = [table.c.id]
        if self.first and connection.dialect.name == "postgresql":
            # Compared and ordered as a pair, for which only this index serves. With a plain
            # equality, the planner may scan the ids instead if it believes the value is frequent.
            column, value = self.first
            order.insert(0, column)
            place = sa.tuple_(column, table.c.id)
            chosen = chosen.where(place > (value, span.low), place < (value, span.high))
        else:
            # Few rows have a better index than the primary key, which the addition rules out.
            id = table.c.id + 0 if self.few else table.c.id
            chosen = chosen.where(id > span.low, id < span.high)
            if self.first:
                chosen = chosen.where(self.first[0] == self.first[1])
        if self.few:  # a limit without effect keeps conditions on the rows out of the scan
            return chosen.limit(_NO_END).cte()
        return chosen.order_by(*(in_direction(each, up) for each in order)).limit(limit).cte()

    def _ids_containing(
        self,
        connection: Connection,
        table: sa.Table,
        span: Span,
        *,
        up: bool,
        limit: int,
        more: Sequence[sa.ColumnElement[Any]],
    ) -> Any:
        """Read the index alone, and the table only for rows that contain the text."""
        assert self.contains
        column, text = self.contains
        place = sa.func.strpos if connection.dialect.name == "postgresql" else sa.func.instr
        found = (
            sa.select(table.c.id)
            .where(*self.where, place(column, text) > 0)
            .where(table.c.id > span.low, table.c.id < span.high)
            .order_by(in_direction(table.c.id, up))
            .limit(limit)
            .cte()
        )
        if not more:
            return found
        joined = sa.select(found.c.id, *more).join_from(found, table, table.c.id == found.c.id)
        return joined.cte()


def beginning_with(table: sa.Table, column: sa.ColumnElement[str], prefix: str) -> IndexScan:
    """Return a scan of the rows whose indexed column begins with a prefix, up to a limit.

    The index finds the first of them. It cannot find the last, which depends on the database's
    collation.
    """
    near = (
        sa.select(table.c.id, column.label("text"))
        .where(column >= prefix)
        .order_by(column)
        .limit(_PREFIXED)
        .subquery()
    )
    begins = sa.func.substr(near.c.text, 1, len(prefix)) == prefix
    return IndexScan(where=(table.c.id.in_(sa.select(near.c.id).where(begins)),), few=True)


def limit_search(
    connection: Connection, table: sa.Table, span: Span, *, up: bool
) -> tuple[Span, int | None]:
    """Return the part of a span that one page searches, and its last id if there is more."""
    inside = sa.select(table.c.id).where(table.c.id > span.low, table.c.id < span.high)
    begins, ends = (
        connection.scalar(inside.order_by(in_direction(table.c.id, way)).limit(1))
        for way in (up, not up)
    )
    if begins is None or abs(begins - ends) < MAX_SEARCHED:
        return span, None
    if up:
        last = begins + MAX_SEARCHED - 1
        return Span(low=span.low, high=last + 1), last
    last = begins - MAX_SEARCHED + 1
    return Span(low=last - 1, high=span.high), last


def in_direction(column: sa.ColumnElement[Any], up: bool) -> sa.ColumnElement[Any]:
    """Return a column to order by, upwards or downwards."""
    return column.asc() if up else column.desc()
