"""Brings the schema up to date, with Alembic."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from config import ROOT
from models import SCHEMA_REVISION
from rtms.database import Database, DatabaseUnavailable, in_words

_POLL_SECONDS = 0.1
_MIGRATIONS = 0x7274_6D73  # PostgreSQL knows a lock by a number


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
    such an index waits for every statement that is under way."""
    try:
        with (
            migrating.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard,
            migrating.engine.connect() as connection,
        ):
            while not guard.scalar(sa.select(sa.func.pg_try_advisory_lock(_MIGRATIONS))):
                time.sleep(_POLL_SECONDS)
            try:
                job(connection)
            finally:
                guard.scalar(sa.select(sa.func.pg_advisory_unlock(_MIGRATIONS)))
    except exc.DBAPIError as error:
        raise DatabaseUnavailable(in_words(error)) from error


def upgrade_if_behind(database: Database) -> None:
    """Migrate where the database is at another revision than the program.

    Raises:
        DatabaseUnavailable: the database does not answer, or is newer than this program.
    """
    if (database.revision() or "") < SCHEMA_REVISION:
        upgrade(database)
