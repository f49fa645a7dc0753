"""Brings the schema up to date, with Alembic."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from config import ROOT
from models import SCHEMA_REVISION
from rtms.database import Database, DatabaseUnavailable


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
        database.serialize_on(connection, "migrations")
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")

    # SQLite rebuilds a table by dropping it, which would delete what refers to it.
    migrating = Database(database.url, for_migration=True)
    try:
        migrating.write(job)
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


def upgrade_if_behind(database: Database) -> None:
    """Migrate where the database is at another revision than the program.

    Raises:
        DatabaseUnavailable: the database does not answer, or is newer than this program.
    """
    if (database.revision() or "") < SCHEMA_REVISION:
        upgrade(database)
