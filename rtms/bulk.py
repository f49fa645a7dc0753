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

from rtms.database import AnyRow

_Bind = Callable[[Any], Any]


class BulkInsert:
    """An INSERT into some columns of a table.

    Args:
        table: the table.
        columns: the names of the columns that get a value.
        then: what follows the values: ON CONFLICT, RETURNING.
    """

    def __init__(self, table: sa.Table, columns: Sequence[str], then: str) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._then = then
        self._text = lru_cache(maxsize=256)(self._make_text)
        self._binds = lru_cache(maxsize=2)(self._make_binds)

    def execute(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[AnyRow]:
        """Insert rows, at least one, and return what RETURNING says, in no order."""
        dialect = connection.dialect
        binds = self._binds(dialect)
        values = tuple(
            row[name] if bind is None else bind(row[name]) for row in rows for name, bind in binds
        )
        result = connection.exec_driver_sql(self._text(dialect.name, len(rows)), values)
        return result.all() if result.returns_rows else []

    def _make_text(self, engine: str, rows: int) -> str:
        row = f"({_places(engine, len(self._columns))})"
        return (
            f"INSERT INTO {self._table.name} ({', '.join(self._columns)}) "  # noqa: S608 - our names
            f"VALUES {', '.join([row] * rows)} {self._then}"
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
