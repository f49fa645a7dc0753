"""The database on both engines: connections, transactions, and whether it is fit to use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import Session

from models import SCHEMA_REVISION

# Seconds. Zoom wants its answer within three; a database that takes longer is as good as away.
PATIENCE = 2
# Connections a process: two processes and a command fit a plan that allows 20.
_POOL = {"pool_size": 6, "max_overflow": 2, "pool_timeout": PATIENCE}
# How soon a server that has gone without a word is noticed; milliseconds the last, else seconds.
_CONNECT = {
    "connect_timeout": PATIENCE,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}
_TRIES = 3
_SHORTEST_POLL, _LONGEST_POLL = 0.0001, 0.0002  # seconds
_LEAST_WAIT = 100  # milliseconds

UNANSWERED = "The database does not answer"
_LOCK_ALL = sa.text(
    "SELECT count(pg_advisory_xact_lock(key)) FROM unnest(CAST(:keys AS bigint[])) AS key"
)

T = TypeVar("T")
AnyRow: TypeAlias = sa.Row[*tuple[Any, ...]]


class DatabaseUnavailable(Exception):
    """The database did not do what was asked and may do it later. The message is its own word,
    without the statement and its values."""


class RowRefused(DatabaseUnavailable):
    """The database is there and does not take this row: the others may well be written."""


class Database:
    """One process's way to the database. Make it after a fork, never before.

    Raises:
        DatabaseUnavailable: an SQLite file has no folder, and none can be made.
    """

    def __init__(self, url: URL, *, for_migration: bool = False) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = _sqlite_engine(url, enforce_foreign_keys=not for_migration)
            self._write_lock: _WriteLock | None = _WriteLock(sqlite_path(url))
        else:
            self.engine = _postgresql_engine(url, wait_for_locks=for_migration)
            self._write_lock = None

    def write(self, job: Callable[[Connection], T], *, give_up_at: float | None = None) -> T:
        """Run `job` in one transaction; when this returns, it is committed and on disk.

        The job may run more than once: where another process wrote the same thing first, and a
        constraint said so, it decides again on what is there now.

        Args:
            job: what to do.
            give_up_at: `time.monotonic()` after which to wait no longer for other writers;
                by default `PATIENCE` seconds from now.

        Raises:
            RowRefused: a constraint does not let it be written.
            DatabaseUnavailable: it was not committed, as far as anyone can tell.
        """
        for last in (*[False] * (_TRIES - 1), True):
            try:
                with self._writing(give_up_at or time.monotonic() + PATIENCE) as connection:
                    return job(connection)
            except (exc.IntegrityError, exc.DataError) as error:
                if last or isinstance(error, exc.DataError):
                    raise RowRefused(in_words(error)) from error
            except (exc.DBAPIError, exc.TimeoutError, OSError) as error:
                if last or not _worth_repeating(error):
                    raise DatabaseUnavailable(in_words(error)) from error
        raise AssertionError("unreachable")

    @contextmanager
    def _writing(self, give_up_at: float) -> Iterator[Connection]:
        if self._write_lock is None:
            with self.engine.begin() as connection:
                left = int((give_up_at - time.monotonic()) * 1000)
                if left < PATIENCE * 900:  # some of it is spent: each lock would begin anew
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(left, _LEAST_WAIT)}")
                yield connection
            return
        with self._write_lock.held(give_up_at), self.engine.connect() as connection:
            # What is left of the patience is for programs that do not know our lock.
            milliseconds = max(int((give_up_at - time.monotonic()) * 1000), _LEAST_WAIT)
            connection.execution_options(
                begin=f"PRAGMA busy_timeout = {milliseconds}; BEGIN IMMEDIATE"
            )
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading; it waits for no writer.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        try:
            with self.engine.connect() as connection:
                yield connection
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise DatabaseUnavailable(in_words(error)) from error

    def session(self) -> Session:
        """An ORM session, for people and their commands."""
        return Session(self.engine)

    def serialize_on(self, connection: Connection, *names: str) -> None:
        """Let this transaction be the only one about these names until it ends. On SQLite every
        writer is alone already; PostgreSQL has locks for it, taken in one order by everybody."""
        if self.is_sqlite or not names:
            return
        keys = {
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            for name in names
        }
        connection.execute(_LOCK_ALL, {"keys": sorted(keys)})

    def lock_rows(self, connection: Connection, rows: sa.Select[tuple[int]]) -> None:
        """Lock rows for this transaction, which everybody who locks several does in the order of
        their ids: then none waits for another that waits for it. On SQLite every writer is alone.

        Args:
            rows: which, as a SELECT of their ids.
        """
        if not self.is_sqlite:
            connection.execute(rows.order_by("id").with_for_update()).all()

    def revision(self) -> str | None:
        """The schema revision the database is at; None before the first migration.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return None if found is None else str(found)

    def unfit(self) -> str | None:
        """Why the server cannot work with this database now, in words; None when it can."""
        try:
            revision = self.revision()
        except DatabaseUnavailable as error:
            return f"{UNANSWERED}: {error}"
        if revision is None:
            return "The database is not migrated yet: run `flask --app app db upgrade`."
        # A newer one is a rollout that has begun: a release may only add, so this version goes on.
        if revision < SCHEMA_REVISION:
            return (
                f"The database is at schema revision {revision} and this version needs "
                f"{SCHEMA_REVISION}: run `flask --app app db upgrade`."
            )
        return None

    def dispose(self) -> None:
        """Close every connection. What is asked for afterwards opens new ones, so a process that
        is about to fork does this first."""
        self.engine.dispose()
        if self._write_lock:
            self._write_lock.close()


def insert_into(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say what to do on a conflict, which each engine's dialect has."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def sqlite_path(url: URL) -> Path:
    """The file of an SQLite URL."""
    return Path(url.database or "").absolute()


@contextmanager
def naming_the_file(url: URL) -> Iterator[None]:
    """Let what goes wrong with an SQLite file say which one it is.

    Raises:
        DatabaseUnavailable: as it was, with the file's path before it.
    """
    try:
        yield
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{sqlite_path(url)} cannot be used: {error}") from error


class _WriteLock:
    """Lets one thread of one process at a time write to an SQLite file. SQLite's own way, to look
    again after a while, starves the unlucky; here threads and processes queue."""

    def __init__(self, database: Path) -> None:
        self._path = f"{database}.lock"
        self._threads = threading.Lock()
        self._file: int | None = None

    @contextmanager
    def held(self, give_up_at: float) -> Iterator[None]:
        """Hold the lock; wait for it until a moment of `time.monotonic()`."""
        if not self._threads.acquire(timeout=max(give_up_at - time.monotonic(), 0)):
            raise TimeoutError("another thread has been writing to the database for too long")
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _lock_file(self._file, give_up_at)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Close the file: two processes that share it open would not lock each other out."""
        with self._threads:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _lock_file(file: int, give_up_at: float) -> None:
    pause = _SHORTEST_POLL
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise TimeoutError(
                    "another process has been writing to the database for too long"
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)


def _postgresql_engine(url: URL, *, wait_for_locks: bool) -> Engine:
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={name: url.query.get(name, its) for name, its in _CONNECT.items()},
        pool_use_lifo=True,  # the backend that is warm
        **_POOL,
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


def _sqlite_engine(url: URL, *, enforce_foreign_keys: bool) -> Engine:
    path = sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"the folder of {path} cannot be made: {error}") from error
    engine = sa.create_engine(
        url, hide_parameters=True, connect_args={"timeout": PATIENCE}, **_POOL
    )
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
        begin = connection.get_execution_options().get("begin", "BEGIN")
        raw: Any = connection.connection.driver_connection
        try:
            for statement in begin.split("; "):
                raw.execute(statement)
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


def _worth_repeating(error: Exception) -> bool:
    """A connection had died in the pool, or PostgreSQL chose one of two transactions that waited
    for each other."""
    if not isinstance(error, exc.DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in (
        "40001",  # serialization failure
        "40P01",  # deadlock detected
    )


def in_words(error: Exception) -> str:
    """What a database error says, without the row that it may quote."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    # PostgreSQL's details quote the row; its first line does not.
    primary = getattr(getattr(origin, "diag", None), "message_primary", None)
    if primary:
        return str(primary)
    return " ".join(str(origin).split()) or type(origin).__name__
