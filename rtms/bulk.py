"""Statements about many rows whose text is made once for each number of rows.

SQLAlchemy puts such a text together anew each time, which costs more than the database takes to do
what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

_Bind = Callable[[Any], Any]


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
        dialect = connection.dialect
        binds = self._binds(dialect)
        values = tuple(
            row[name] if bind is None else bind(row[name]) for row in rows for name, bind in binds
        )
        return connection.exec_driver_sql(self._text(dialect.name, len(rows), then), values)

    def _make_text(self, engine: str, rows: int, then: str) -> str:
        row = f"({_places(engine, len(self._columns))})"
        return (
            f"INSERT INTO {self._table.name} ({', '.join(self._columns)}) "  # noqa: S608 - our names
            f"VALUES {', '.join([row] * rows)} {then}"
        )

    def _make_binds(self, dialect: Dialect) -> list[tuple[str, _Bind | None]]:
        """How each column's values are turned into what the driver takes."""
        types = ((name, self._table.c[name].type.dialect_impl(dialect)) for name in self._columns)
        return [(name, type_.bind_processor(dialect)) for name, type_ in types]


class BulkFind:
    """Which of some texts stand in a column of some tables.

    Args:
        columns: the columns to look into.
    """

    def __init__(self, *columns: sa.Column[str]) -> None:
        self._columns = columns
        self._text = lru_cache(maxsize=256)(self._make_text)

    def execute(self, connection: Connection, texts: Sequence[str]) -> set[str]:
        """Those of the texts, at least one, that stand in any of the columns."""
        statement = self._text(connection.dialect.name, len(texts))
        found = connection.exec_driver_sql(statement, tuple(texts) * len(self._columns))
        return {row[0] for row in found}

    def _make_text(self, engine: str, texts: int) -> str:
        return " UNION ALL ".join(
            f"SELECT {column.name} FROM {column.table.name} "  # noqa: S608 - our names
            f"WHERE {column.name} IN ({_places(engine, texts)})"
            for column in self._columns
        )


def _places(engine: str, values: int) -> str:
    return ", ".join(["?" if engine == "sqlite" else "%s"] * values)
