"""Brings the schema up to date, with Alembic."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
import structlog
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from config import ROOT
from models import SCHEMA_REVISION
from rtms.db.database import Database
from rtms.db.errors import DatabaseUnavailable, error_text

_POLL_SECONDS = 0.1
_MIGRATIONS = 0x7274_6D73  # PostgreSQL knows a lock by a number
# While a migration waits for a lock on a table, whoever writes to it waits behind: deliveries, too.
_LOCK_TIMEOUT = "500ms"
_REST = 1.5  # seconds, for those who waited
_SAY_AGAIN = 5.0  # seconds
_NOT_GRANTED = ("55P03", "40P01")  # lock not available, deadlock detected
_IN_THE_WAY = sa.text(
    "SELECT pid, application_name AS program, "
    "CAST(extract(epoch FROM clock_timestamp() - xact_start) AS int) AS seconds "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'relation' AND granted "
    "AND relation = to_regclass('meeting_direct_connects')) ORDER BY xact_start LIMIT 1"
)

log = structlog.get_logger()


def upgrade(database: Database) -> None:
    """Migrate to the newest revision. Several processes may try at once: one does it.

    Raises:
        DatabaseUnavailable: the database does not answer, or is newer than this program.
    """
    # Here, not above: it costs a server that has nothing to migrate a part of its start-up time.
    from alembic import command
    from alembic.config import Config as AlembicConfig
    from alembic.util import CommandError

    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))

    def job(connection: Connection) -> None:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")

    # SQLite rebuilds a table by dropping it, which would delete what refers to it.
    migrating = Database(database.url, for_migration=True)
    try:
        if database.is_sqlite:
            migrating.write(job)
        else:
            _migrate_alone(migrating, job)
    except CommandError as error:
        revision = database.revision()
        if revision and revision > SCHEMA_REVISION:
            raise DatabaseUnavailable(
                f"The database is at schema revision {revision}, newer than this version "
                f"({SCHEMA_REVISION}): use the version that made it."
            ) from error
        raise DatabaseUnavailable(str(error)) from error
    finally:
        migrating.dispose()


def _migrate_alone(migrating: Database, job: Callable[[Connection], None]) -> None:
    """Let one process at a time migrate PostgreSQL, in transactions of the migrations' own: to make
    an index while others write takes several. Nobody waits for the lock inside a statement, since
    such an index waits for every statement that is under way. And no statement waits for a lock for
    long: what did not get it begins again, until whoever has it lets go."""
    try:
        with migrating.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
            while not guard.scalar(sa.select(sa.func.pg_try_advisory_lock(_MIGRATIONS))):
                time.sleep(_POLL_SECONDS)
            try:
                said_at = None
                while not _got_its_locks(migrating, job):
                    if said_at is None or time.monotonic() - said_at >= _SAY_AGAIN:
                        said_at = time.monotonic()
                        _say_who_is_in_the_way(guard)
                    time.sleep(_REST)
            finally:
                guard.scalar(sa.select(sa.func.pg_advisory_unlock(_MIGRATIONS)))
    except exc.DBAPIError as error:
        raise DatabaseUnavailable(error_text(error)) from error


def _got_its_locks(migrating: Database, job: Callable[[Connection], None]) -> bool:
    with migrating.engine.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        connection.commit()
        try:
            job(connection)
        except exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_GRANTED:
                raise
            return False
    return True


def _say_who_is_in_the_way(guard: Connection) -> None:
    other = guard.execute(_IN_THE_WAY).one_or_none()
    log.warning(
        "the migration waits for a transaction that has the table meeting_direct_connects in use, "
        "and goes on once that ends; deliveries are taken in meanwhile",
        **(other._asdict() if other else {}),
    )


def upgrade_if_behind(database: Database) -> None:
    """Migrate where the database is at another revision than the program.

    Raises:
        DatabaseUnavailable: the database does not answer, or is newer than this program.
    """
    if (database.revision() or "") < SCHEMA_REVISION:
        upgrade(database)
