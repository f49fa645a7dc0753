"""Checks that PostgreSQL allows as many connections as the processes may open."""

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

# The limits on connections. -1: the role or the database has none of its own.
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
    """The connections that are open, may be opened, and are allowed."""

    web: int  # processes
    workers: int
    threads: int | None  # for requests, in each web process
    connects: int  # at once, in each process that connects
    allowed: int  # connections
    used: int


def look(services: Services) -> Iterator[Finding]:
    """Compare the connection pools of all processes with what PostgreSQL allows."""
    if services.database.is_sqlite:
        yield ok(_ABOUT, "SQLite has no limit on connections.")
        return
    try:
        with services.database.read() as connection:
            allowed = connection.execute(_ALLOWED).one()
        with services.database.read() as connection:
            alive = Counter(row.kind for row in heartbeat.living(connection, now=clock.now()))
    except DatabaseUnavailable as error:
        yield warning(_ABOUT, f"Could not be counted: {error}", "Fix the database first.")
        return
    limits = [limit for limit in (allowed.server, allowed.role, allowed.database) if limit >= 0]
    yield from judge(
        Capacity(
            web=max(services.config.web_concurrency, alive["web"]),
            workers=alive["worker"],
            threads=_request_threads(),
            connects=services.config.connect_threads,
            allowed=min(limits),
            used=allowed.used,
        )
    )


def judge(capacity: Capacity) -> Iterator[Finding]:
    """Yield whether there are enough connections, now and when every pool is full."""
    needed = CONNECTIONS_A_PROCESS * (capacity.web + capacity.workers)
    threads = f" of {capacity.threads} threads" if capacity.threads else ""
    found = (
        f"{capacity.web} web processes{threads} (WEB_CONCURRENCY) and {capacity.workers} workers, "
        f"each with up to {capacity.connects} connects at once, open up to {needed} connections. "
        f"PostgreSQL allows {capacity.allowed}, and {capacity.used} are in use."
    )
    if needed > capacity.allowed:
        yield warning(
            _ABOUT,
            f"{found} A process that gets none answers 503.",
            "Lower WEB_CONCURRENCY, run fewer workers, or use a plan that allows more connections "
            "(docs/SCALING.md).",
        )
    elif capacity.used >= _NEARLY_ALL * capacity.allowed:
        yield warning(
            _ABOUT,
            f"{found} Nearly all are in use.",
            "Find out what uses them: `SELECT application_name, client_addr, state, count(*) FROM "
            "pg_stat_activity GROUP BY 1, 2, 3`.",
        )
    else:
        yield ok(_ABOUT, found)


def _request_threads() -> int | None:
    # Read as text, because running it would load the configuration again.
    found = re.search(r"^threads = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    return int(found[1]) if found else None
