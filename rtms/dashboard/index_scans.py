"""Ways to the rows of a table: what an index answers, in the order of the ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

SHORTEST_PREFIX = 6  # characters
# Ids among which a page looks for a part of a text, at most: some tens of milliseconds.
LOOK_THROUGH = 200_000
_PREFIXED = 1_000  # rows that begin like a prefix, at most
_NO_END = 2**62


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
        """Return the part of it that a page's key leaves."""
        return Span(
            low=max(self.low, key.after or 0),
            high=self.high if key.before is None else min(self.high, key.before),
        )


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
    # A column of an index that begins with the id, and a text that it is to hold.
    holds: tuple[sa.ColumnElement[Any], str] | None = None

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
        """Return the nearest ids of a span along this way, each with more columns."""
        if self.holds:
            return self._holding(connection, table, span, up=up, limit=limit, more=more)
        chosen = sa.select(table.c.id, *more).where(*self.where)
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
            return chosen.limit(_NO_END).cte()
        return chosen.order_by(*(turned(each, up) for each in order)).limit(limit).cte()

    def _holding(
        self,
        connection: Connection,
        table: sa.Table,
        span: Span,
        *,
        up: bool,
        limit: int,
        more: Sequence[sa.ColumnElement[Any]],
    ) -> Any:
        """Read from the index alone, but for the rows that hold the text."""
        assert self.holds
        column, text = self.holds
        place = sa.func.strpos if connection.dialect.name == "postgresql" else sa.func.instr
        found = (
            sa.select(table.c.id)
            .where(*self.where, place(column, text) > 0)
            .where(table.c.id > span.low, table.c.id < span.high)
            .order_by(turned(table.c.id, up))
            .limit(limit)
            .cte()
        )
        if not more:
            return found
        joined = sa.select(found.c.id, *more).join_from(found, table, table.c.id == found.c.id)
        return joined.cte()


def beginning_with(table: sa.Table, column: sa.ColumnElement[str], prefix: str) -> Way:
    """Return a way to the rows whose indexed column begins with a prefix, to so many at most.

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


def look_through(
    connection: Connection, table: sa.Table, span: Span, *, up: bool
) -> tuple[Span, int | None]:
    """Return the part of a span that one page looks through, and its last id where it goes on."""
    inside = sa.select(table.c.id).where(table.c.id > span.low, table.c.id < span.high)
    begins, ends = (
        connection.scalar(inside.order_by(turned(table.c.id, way)).limit(1)) for way in (up, not up)
    )
    if begins is None or abs(begins - ends) < LOOK_THROUGH:
        return span, None
    if up:
        last = begins + LOOK_THROUGH - 1
        return Span(low=span.low, high=last + 1), last
    last = begins - LOOK_THROUGH + 1
    return Span(low=last - 1, high=span.high), last


def turned(column: sa.ColumnElement[Any], up: bool) -> sa.ColumnElement[Any]:
    """Return a column to order by, upwards or downwards."""
    return column.asc() if up else column.desc()
