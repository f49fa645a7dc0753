"""SQLite connections that hand their waits for the disk to the caller's choice of thread.

A server whose requests share one thread makes these calls in other threads. psycopg does not need
this: under gevent, it lets other greenlets run while it waits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

MakeCall: TypeAlias = Callable[[Callable[[], Any]], Any]


def at_once(call: Callable[[], Any]) -> Any:
    """Make a call in the current thread."""
    return call()


def sqlite_connection_class(make_call: MakeCall) -> type[sqlite3.Connection]:
    """Make a class of SQLite connections that give reads, BEGIN, COMMIT, ROLLBACK to `make_call`.

    All rows of a statement are read at once, as in psycopg. The statements of a writer do not wait:
    they touch a few rows that are in memory, and its COMMIT writes them.
    """

    class SqliteCursor(sqlite3.Cursor):
        _rows: Iterator[Any] = iter(())

        def execute(self, *args: Any) -> Any:
            return self._run(super().execute, args)

        def executemany(self, *args: Any) -> Any:
            return self._run(super().executemany, args)

        def _run(self, execute: Callable[..., Any], args: Any) -> Any:
            connection: Any = self.connection
            call = partial(self._read_all, execute, args)
            return call() if connection.is_writing else make_call(call)

        def _read_all(self, execute: Callable[..., Any], args: Any) -> Any:
            execute(*args)
            self._rows = iter(super().fetchall())
            return self

        def fetchone(self) -> Any:
            return next(self._rows, None)

        def fetchmany(self, size: int | None = 1) -> list[Any]:
            return list(islice(self._rows, size))

        def fetchall(self) -> list[Any]:
            return list(self._rows)

    class SqliteConnection(sqlite3.Connection):
        is_writing = False

        def cursor(self, factory: Any = SqliteCursor) -> Any:
            return super().cursor(factory)

        def execute(self, *args: Any) -> Any:
            return self.cursor().execute(*args)

        def executescript(self, script: str) -> Any:
            return make_call(partial(super().executescript, script))

        def commit(self) -> None:
            make_call(super().commit)

        def rollback(self) -> None:
            if self.in_transaction:
                make_call(super().rollback)

    return SqliteConnection
