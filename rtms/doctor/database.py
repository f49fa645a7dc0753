"""Checks that the database answers, is migrated, is durable and commits fast enough."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from config import Config
from models import SCHEMA_REVISION
from rtms.db.database import Database
from rtms.db.engines import sqlite_path
from rtms.db.errors import DatabaseUnavailable
from rtms.doctor import disks
from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.services import Services

_ABOUT = "database"
_COMMITS = 5
_SLOW_COMMIT = 0.05  # seconds
_USELESS_COMMIT = 1.0  # seconds; Zoom waits three for an answer, and commits queue
_DURABLE = {"fsync": "on", "full_page_writes": "on"}


def look(services: Services) -> Iterator[Finding]:
    """Check that deliveries can be stored durably and in time."""
    database = services.database
    engine = "SQLite" if database.is_sqlite else "PostgreSQL"
    try:
        revision = database.revision()
    except DatabaseUnavailable as error:
        yield failure(
            _ABOUT,
            f"{engine} does not answer: {str(error).rstrip('.')}. Every delivery gets a 503.",
            "Check that it runs, and the host, user and password in DATABASE_URL. The server "
            "reconnects by itself.",
        )
        return
    unfit = database.unfit()
    if unfit:
        yield failure("migration", unfit, "Run `flask db upgrade`.")
        if revision is None:
            return
    else:
        ahead = f", newer than this version's {SCHEMA_REVISION}" if _is_newer(revision) else ""
        yield ok("migration", f"The schema is at revision {revision}{ahead}.")
    yield _commits(database, engine)
    if database.is_sqlite:
        yield from _file(sqlite_path(database.url), services.config)
    else:
        yield from _settings(database)


def judge_commits(seconds: float, engine: str) -> Finding:
    """Return whether a commit is fast enough.

    Args:
        seconds: the median time of a commit.
        engine: SQLite or PostgreSQL.
    """
    found = f"{engine} answers; a commit takes {seconds * 1000:.1f} ms."
    if seconds < _SLOW_COMMIT:
        return ok(_ABOUT, found)
    next_step = (
        "Put the file on a local disk that is not busy, or use PostgreSQL."
        if engine == "SQLite"
        else "Run the server in the database's region, and check the load of the database's disk."
    )
    if seconds < _USELESS_COMMIT:
        return warning(_ABOUT, f"{found} That delays every delivery.", next_step)
    return failure(_ABOUT, f"{found} Zoom waits only 3 seconds, and commits queue.", next_step)


def _is_newer(revision: str | None) -> bool:
    return (revision or "") > SCHEMA_REVISION


def _commits(database: Database, engine: str) -> Finding:
    # Rewrites the same value, which changes nothing but still waits for the disk.
    same = sa.text("UPDATE alembic_version SET version_num = version_num")
    took = []
    try:
        for _ in range(_COMMITS):
            began = time.monotonic()
            database.write(lambda connection: connection.execute(same))
            took.append(time.monotonic() - began)
    except DatabaseUnavailable as error:
        return failure(
            _ABOUT,
            f"{engine} answers, but cannot be written to: {str(error).rstrip('.')}.",
            "Free disk space, let the server's user write, or end what holds the lock. Until then "
            "every delivery gets a 503.",
        )
    return judge_commits(statistics.median(took), engine)


def _file(path: Path, config: Config) -> Iterator[Finding]:
    if config.paas:
        yield warning(
            _ABOUT,
            f"The database is an SQLite file, and {config.paas} wipes its disks at each deploy.",
            "Add a PostgreSQL database and set DATABASE_URL, or put the file on a persistent "
            "volume.",
        )
    mounts = disks.mounts()
    kind = disks.kind_of(path.parent, mounts) if mounts else None
    if kind:
        trouble = disks.trouble_with(kind)
        if trouble:
            yield warning(
                _ABOUT,
                f"{path} is on {kind}: {trouble}.",
                "Put the file on a persistent local disk, or use PostgreSQL.",
            )
    yield disks.judge_room(path.parent, shutil.disk_usage(path.parent).free)


def _settings(database: Database) -> Iterator[Finding]:
    names = (*_DURABLE, "synchronous_commit")
    with database.read() as connection:
        found = {name: connection.scalar(sa.text(f"SHOW {name}")) for name in names}
        size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    yield ok(_ABOUT, f"The database takes {disks.size_text(int(size or 0))}.")
    for name, wanted in _DURABLE.items():
        if found[name] != wanted:
            yield warning(
                _ABOUT,
                f"PostgreSQL runs with {name} = {found[name]}. A power cut can lose "
                "acknowledged meetings.",
                f"Set {name} = {wanted}, unless the provider's storage does not need it "
                "(Aurora, Neon).",
            )
    if found["synchronous_commit"] == "off":
        yield failure(
            _ABOUT,
            "PostgreSQL runs with synchronous_commit = off, so deliveries are acknowledged to Zoom "
            "before they are on disk.",
            "Set synchronous_commit = on, for the server or for this role.",
        )
