"""Databases for the tests: each engine has empty ones, and migrated ones that cost little."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import ROOT
from models import Base
from rtms.configuration.database_url import parse
from rtms.db import migrate
from rtms.db.database import Database

# For what the database has no part in.
on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# What a test can leave behind that emptying the tables does not take back.
_SHAPE = """
SELECT (SELECT array_agg(version_num) FROM alembic_version),
    (SELECT array_agg((oid, relnatts, relchecks) ORDER BY oid)::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace),
    (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384),
    (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase =
        (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_END_THE_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"


def upgrade(url: str) -> None:
    """Migrate a database to the newest schema."""
    database = Database(parse(url, ROOT))
    migrate.upgrade_if_behind(database)
    database.dispose()


class SqliteFiles:
    """Makes database files."""

    def __init__(self, folder: Path) -> None:
        self._migrated = folder / "migrated.sqlite3"
        upgrade(f"sqlite:///{self._migrated}")

    def copy(self, path: Path) -> None:
        """Make a migrated database without rows."""
        shutil.copyfile(self._migrated, path)


class PostgresDatabases:
    """Makes databases in a PostgreSQL. They go when it goes: to drop one costs a checkpoint."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._used: str | None = None
        self._shape: Any = None

    def create(self) -> str:
        """Return the URL of a new database without tables."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        url: str = self._server.get_uri(name)
        return url

    def migrated(self) -> str:
        """Return the URL of a migrated database without rows: the one of the test before, where it
        still has the shape that it had."""
        if self._used is None or not self._is_emptied(self._used):
            self._used = self.create()
            upgrade(self._used)
            with psycopg.connect(self._used) as connection:
                self._shape = connection.execute(_SHAPE).fetchone()
        return self._used

    def _is_emptied(self, url: str) -> bool:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(_END_THE_OTHERS)
                if connection.execute(_SHAPE).fetchone() != self._shape:
                    return False
                connection.execute(_EMPTY)
        except psycopg.Error:  # a table is gone, or nobody may connect
            return False
        return True
