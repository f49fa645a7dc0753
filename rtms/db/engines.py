"""What differs between SQLite and PostgreSQL: how connections are made, and what SQL each has."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine

from rtms.db.drivers import MakeCall, sqlite_connection_class
from rtms.db.errors import DatabaseUnavailable

# Seconds. Zoom wants its answer within three; a database that takes longer is as good as away.
PATIENCE = 2
# Connections a process: two processes and a command fit a plan that allows 20.
POOL = {"pool_size": 6, "max_overflow": 2, "pool_timeout": PATIENCE}
# How soon a server that has gone without a word is noticed; milliseconds the last, else seconds.
_CONNECT = {
    "connect_timeout": PATIENCE,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}


def insert_into(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can say what to do on a conflict, which each engine's dialect has."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def sqlite_path(url: URL) -> Path:
    """Return the file of an SQLite URL."""
    return Path(url.database or "").absolute()


@contextmanager
def naming_the_file(url: URL) -> Iterator[None]:
    """Name the SQLite file in the error when something goes wrong with it.

    Raises:
        DatabaseUnavailable: as it was, with the file's path before it.
    """
    try:
        yield
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{sqlite_path(url)} cannot be used: {error}") from error


def postgresql_engine(url: URL, *, wait_for_locks: bool) -> Engine:
    """Return an engine for PostgreSQL.

    Args:
        wait_for_locks: for as long as it takes, as a migration must; otherwise `PATIENCE` seconds.
    """
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={name: url.query.get(name, its) for name, its in _CONNECT.items()},
        pool_use_lifo=True,  # the backend that is warm
        **POOL,
    )
    if wait_for_locks:
        return engine

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
        # A plan that is kept stays what it was when the tables were empty: it reads all of them.
        connection.execute("SET plan_cache_mode = force_custom_plan")
        connection.execute("SET timezone = 'UTC'")  # moments that end the calendar stay inside it
        connection.commit()

    return engine


class _SqliteCompiler(sqlite.base.SQLiteCompiler):
    """Writes hints after a table's name: SQLite has `INDEXED BY` there, and SQLAlchemy no word for
    it."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:
        return text


def sqlite_engine(url: URL, make_call: MakeCall, *, enforce_foreign_keys: bool) -> Engine:
    """Return an engine for an SQLite file, whose folder is made where there is none.

    Args:
        make_call: makes the calls that wait for the disk.

    Raises:
        DatabaseUnavailable: the folder cannot be made.
    """
    path = sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"the folder of {path} cannot be made: {error}") from error
    connected = {"timeout": PATIENCE, "factory": sqlite_connection_class(make_call)}
    engine = sa.create_engine(url, hide_parameters=True, connect_args=connected, **POOL)
    engine.dialect.statement_compiler = _SqliteCompiler

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not inside the driver
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # committed means on disk
        connection.execute("PRAGMA temp_store = MEMORY")  # no file for each statement's journal
        # Pages; each of them is written once a checkpoint, however often it changed. It is made by
        # whoever commits, under our lock: beside another's commit, an SQLite before 3.51.3 may
        # lose what was committed (SQLite: the WAL-reset bug).
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if enforce_foreign_keys else 'OFF'}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: what it reads stays true until it commits.
        options = connection.get_execution_options()
        begin = options.get("begin", "BEGIN")
        raw: Any = connection.connection.driver_connection
        raw.is_writing = "begin" in options
        try:
            raw.executescript(begin)
        except sqlite3.Error as error:  # what SQLAlchemy makes of it elsewhere
            raise exc.OperationalError(begin, None, error) from error

    return engine


def _use_wal(connection: Any) -> None:
    """Readers and the writer do not wait for each other. SQLite changes a new file to this only
    while nobody else has it open, and does not wait for that: so we do."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
