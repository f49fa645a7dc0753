"""The database on both engines: connections, transactions, and whether it is fit to use."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection
from sqlalchemy.orm import Session

from models import SCHEMA_REVISION
from rtms.db.drivers import MakeCall, at_once
from rtms.db.engines import PATIENCE, postgresql_engine, sqlite_engine, sqlite_path
from rtms.db.errors import DatabaseUnavailable, RowRefused, error_text, is_worth_repeating
from rtms.db.write_lock import WriteLock

_TRIES = 3
_LEAST_WAIT = 100  # milliseconds

UNANSWERED = "The database does not answer"
_LOCK_ALL = sa.text(
    "SELECT count(pg_advisory_xact_lock(key)) FROM unnest(CAST(:keys AS bigint[])) AS key"
)

T = TypeVar("T")
AnyRow: TypeAlias = sa.Row[*tuple[Any, ...]]


class Database:
    """One process's way to the database. Make it after a fork, never before.

    Attributes:
        make_call: makes the calls of SQLite that wait for the disk; by default in the thread that
            wants them. A server whose requests share one thread replaces it.

    Raises:
        DatabaseUnavailable: an SQLite file has no folder, and none can be made.
    """

    def __init__(self, url: URL, *, for_migration: bool = False) -> None:
        self.url = url
        self.make_call: MakeCall = at_once
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = sqlite_engine(
                url, self._make_call, enforce_foreign_keys=not for_migration
            )
            self._write_lock: WriteLock | None = WriteLock(sqlite_path(url))
        else:
            self.engine = postgresql_engine(url, wait_for_locks=for_migration)
            self._write_lock = None

    def _make_call(self, call: Callable[[], Any]) -> Any:
        return self.make_call(call)

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
                    raise RowRefused(error_text(error)) from error
            except (exc.DBAPIError, exc.TimeoutError, OSError) as error:
                if last or not is_worth_repeating(error):
                    raise DatabaseUnavailable(error_text(error)) from error
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
            raise DatabaseUnavailable(error_text(error)) from error

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
            return "The database is not migrated yet: run `flask db upgrade`."
        # A newer one is a rollout that has begun: a release may only add, so this version goes on.
        if revision < SCHEMA_REVISION:
            return (
                f"The database is at schema revision {revision} and this version needs "
                f"{SCHEMA_REVISION}: run `flask db upgrade`."
            )
        return None

    def dispose(self) -> None:
        """Close every connection. What is asked for afterwards opens new ones, so a process that
        is about to fork does this first."""
        self.engine.dispose()
        if self._write_lock:
            self._write_lock.close()
