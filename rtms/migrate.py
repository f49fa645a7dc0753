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

    try:
        database.write(job)
    except CommandError as error:
        raise DatabaseUnavailable(database.unfit() or str(error)) from error


def upgrade_if_behind(database: Database) -> None:
    """Migrate where the database is at another revision than the program.

    Raises:
        DatabaseUnavailable: the database does not answer, or is newer than this program.
    """
    if database.revision() != SCHEMA_REVISION:
        upgrade(database)
