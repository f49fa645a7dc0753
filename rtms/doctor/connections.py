"""Whether PostgreSQL allows as many connections as the processes may open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from config import ROOT
from rtms import clock
from rtms.db.errors import DatabaseUnavailable
from rtms.doctor.finding import Finding, ok, warning
from rtms.monitoring import heartbeat
from rtms.services import Services

CONNECTIONS_A_PROCESS = 8  # at most: the pool of rtms/db/engines.py
_ABOUT = "connections"
_NEARLY_ALL = 0.8

# What this role may open in this database; -1 is no limit of its own.
_ALLOWED = sa.text(
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int AS server,"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used"
)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How many there are, and how many there may be."""

    web: int  # processes
    workers: int
    threads: int | None  # that take requests, in each web process
    connects: int  # at once, in each process that connects
    allowed: int  # connections
    used: int


def look(its: Services) -> Iterator[Finding]:
    """The pools of all processes against what PostgreSQL allows."""
    if its.database.is_sqlite:
        yield ok(_ABOUT, "SQLite: one file, and no limit to count.")
        return
    try:
        with its.database.read() as connection:
            allowed = connection.execute(_ALLOWED).one()
        with its.database.read() as connection:
            alive = Counter(row.kind for row in heartbeat.living(connection, now=clock.now()))
    except DatabaseUnavailable as error:
        yield warning(_ABOUT, f"Could not be counted: {error}", "Mend the database first.")
        return
    limits = [limit for limit in (allowed.server, allowed.role, allowed.database) if limit >= 0]
    yield from judge(
        Capacity(
            web=max(its.config.web_concurrency, alive["web"]),
            workers=alive["worker"],
            threads=_request_threads(),
            connects=its.config.connect_threads,
            allowed=min(limits),
            used=allowed.used,
        )
    )


def judge(capacity: Capacity) -> Iterator[Finding]:
    """Whether there are enough connections, now and when every process wants all of its own."""
    needed = CONNECTIONS_A_PROCESS * (capacity.web + capacity.workers)
    threads = f" of {capacity.threads} threads" if capacity.threads else ""
    found = (
        f"{capacity.web} web processes{threads} (WEB_CONCURRENCY) and {capacity.workers} workers, "
        f"each with up to {capacity.connects} connects at once, open {needed} connections at most; "
        f"PostgreSQL allows {capacity.allowed}, and {capacity.used} are in use."
    )
    if needed > capacity.allowed:
        yield warning(
            _ABOUT,
            f"{found} A process that finds none answers 503.",
            "Lower WEB_CONCURRENCY, run fewer workers, or take a plan that allows more "
            "(docs/SCALING.md). More threads need no more connections; more processes do.",
        )
    elif capacity.used >= _NEARLY_ALL * capacity.allowed:
        yield warning(
            _ABOUT,
            f"{found} Nearly all are taken.",
            "See who holds them: `SELECT application_name, client_addr, state, count(*) FROM "
            "pg_stat_activity GROUP BY 1, 2, 3`.",
        )
    else:
        yield ok(_ABOUT, found)


def _request_threads() -> int | None:
    # Read, not run: running it would read the configuration again.
    found = re.search(r"^threads = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    return int(found[1]) if found else None
