"""Statements about many rows whose text is made once.

SQLAlchemy puts such a text together anew each time, and where a text has a place for each value its
driver reads it anew as well. Both cost more than the database takes to do what it says. On SQLite
there is one text for each number of rows; PostgreSQL takes all of them as one value, in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, Dialect

_Bind = Callable[[Any], Any]

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


class BulkInsert:
    """An INSERT of rows.

    Args:
        table: the table.
        columns: the names of the columns that get a value.
    """

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._text = lru_cache(maxsize=256)(self._make_text)
        self._binds = lru_cache(maxsize=2)(self._make_binds)

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, at least one."""
        self._execute(connection, rows, "")

    def execute_for_ids(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]], *, by: str
    ) -> dict[Any, int]:
        """Insert rows, at least one, into a table that numbers them itself.

        Args:
            by: a column whose values are different in these rows.

        Returns:
            The ids, by that column's values.
        """
        if connection.dialect.name == "sqlite":
            # One statement of the only writer numbers its rows in order, and asking it for each
            # number gives the interpreter away once a row.
            last: int = self._execute(connection, rows, "").lastrowid
            first = last - len(rows) + 1
            return {row[by]: first + index for index, row in enumerate(rows)}
        found = self._execute(connection, rows, f"RETURNING {by}, id")
        return {row._mapping[by]: row._mapping["id"] for row in found}

    def _execute(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]], then: str
    ) -> sa.CursorResult[Any]:
        binds = self._binds(connection.dialect)
        if connection.dialect.name == "sqlite":
            text = self._text(len(rows))
            values = tuple(
                row[name] if bind is None else bind(row[name])
                for row in rows
                for name, bind in binds
            )
        else:
            text = f"{self._text(None)} {then}"
            objects = [
                {name: row[name] if bind is None else bind(row[name]) for name, bind in binds}
                for row in rows
            ]
            values = (_json(objects),)
        return connection.exec_driver_sql(text, values)

    def _make_text(self, rows: int | None) -> str:
        """The statement for so many rows; None: for all that are in one JSON text."""
        names = ", ".join(self._columns)
        if rows is None:
            columns = [self._table.c[name] for name in self._columns]
            types = ", ".join(f"{each.name} {_type_of(each)}" for each in columns)
            values = ", ".join(f"{each.name}{_cast(each)}" for each in columns)
            source = f"SELECT {values} FROM json_to_recordset(%s) AS row ({types})"  # noqa: S608
        else:
            source = f"VALUES {', '.join([f'({_places(len(self._columns))})'] * rows)}"
        return f"INSERT INTO {self._table.name} ({names}) {source}"

    def _make_binds(self, dialect: Dialect) -> list[tuple[str, _Bind | None]]:
        """How each column's values are turned into what goes into the statement. JSON is a text in
        there: it may hold what PostgreSQL stores and could not read, like half of a pair of
        surrogates."""
        types = {name: self._table.c[name].type.dialect_impl(dialect) for name in self._columns}
        return [
            (name, json.dumps if isinstance(type_, sa.JSON) else type_.bind_processor(dialect))
            for name, type_ in types.items()
        ]


@dataclass(frozen=True, kw_only=True)
class PartialIndex:
    """An index of two texts, over the rows that meet a condition."""

    name: str
    then: str  # its second column
    condition: str  # in SQL, as the index has it


class BulkFind:
    """Which of some texts stand in a column of some tables.

    Args:
        columns: the columns to look into.
        by: for a column of which only a part is looked into, the partial index of that part.
    """

    def __init__(
        self, *columns: sa.Column[str], by: Mapping[sa.Column[str], PartialIndex] | None = None
    ) -> None:
        self._columns = columns
        self._by = by or {}
        self._text = lru_cache(maxsize=256)(self._make_text)

    def execute(self, connection: Connection, texts: Sequence[str]) -> set[str]:
        """Those of the texts, at least one, that stand in any of the columns."""
        if connection.dialect.name == "sqlite":
            found = connection.exec_driver_sql(
                self._text(len(texts)), tuple(texts) * len(self._columns)
            )
        else:
            found = connection.exec_driver_sql(
                self._text(None), (list(texts),) * len(self._columns)
            )
        return {row[0] for row in found}

    def _make_text(self, texts: int | None) -> str:
        return " UNION ALL ".join(self._select(column, texts) for column in self._columns)

    def _select(self, column: sa.Column[str], texts: int | None) -> str:
        name, table, index = column.name, column.table.name, self._by.get(column)
        if index is None:
            among = "= ANY(%s)" if texts is None else f"IN ({_places(texts)})"
            return f"SELECT {name} FROM {table} WHERE {name} {among}"  # noqa: S608 - our names
        # Left to themselves both engines may read every row of another partial index.
        if texts is not None:
            return (
                f"SELECT {name} FROM {table} INDEXED BY {index.name} "  # noqa: S608 - our names
                f"WHERE {name} IN ({_places(texts)}) AND {index.condition}"
            )
        # Compared and ordered as a pair, which only this index answers.
        pair = f"{name}, {index.then}"
        return (
            f"SELECT nearest.{name} FROM unnest(%s::text[]) AS sought(text), LATERAL ("  # noqa: S608
            f"SELECT {name} FROM {table} WHERE ({pair}) >= (sought.text, '') AND {index.condition} "
            f"ORDER BY {pair} LIMIT 1) AS nearest WHERE nearest.{name} = sought.text"
        )


def _places(values: int) -> str:
    return ", ".join(["?"] * values)


def _type_of(column: sa.Column[Any]) -> str:
    """What a column's values are before they are put into it. What is too long for it is refused
    then, and not cut off as here."""
    is_text = isinstance(column.type, sa.String | sa.JSON)
    return "TEXT" if is_text else column.type.compile(_POSTGRESQL)


def _cast(column: sa.Column[Any]) -> str:
    return "::JSON" if isinstance(column.type, sa.JSON) else ""


_json = json.JSONEncoder(default=datetime.isoformat).encode
