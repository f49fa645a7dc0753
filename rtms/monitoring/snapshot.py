"""A snapshot of the database for monitoring. Every process reads the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import ATTEMPTS, CONNECTS, EVENTS, GATES, SCHEMA_REVISION, Source
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.monitoring import heartbeat
from rtms.monitoring.meeting_counts import RECENT, MeetingCounter, StateCounts, failed_recently
from rtms.queue.leases import Depth, Queue

# Here and below, `+ ""` keeps SQLite from a worse index, with which it would sort every event of
# Zoom's, or read every meeting by state.
_LAST_DELIVERY = (
    sa.select(EVENTS.c.received_at)
    .where(EVENTS.c.source + "" == Source.ZOOM)
    .order_by(EVENTS.c.received_at.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What operators watch, at one point in time."""

    now: datetime
    schema_is_ok: bool
    meetings: StateCounts = field(default_factory=Counter)
    # Arrived within the last hour, or arrived earlier and failed within it.
    recent: StateCounts = field(default_factory=Counter)
    # Arrived within the last hour and met a 429.
    recent_rate_limited: StateCounts = field(default_factory=Counter)
    queues: dict[str, Depth] = field(default_factory=dict)
    last_delivery: datetime | None = None
    last_start: datetime | None = None
    gates: list[AnyRow] = field(default_factory=list)
    processes: list[AnyRow] = field(default_factory=list)


def read(database: Database, counter: MeetingCounter, queues: Mapping[str, Queue[Any]]) -> Snapshot:
    """Read a snapshot.

    Args:
        queues: the jobs' queues, by the job's name.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    now = clock.now()
    revision = database.revision()
    if revision is None or revision < SCHEMA_REVISION:
        return Snapshot(now=now, schema_is_ok=False)
    with database.read() as connection:
        recent, rate_limited = _recent(connection, now)
        return Snapshot(
            now=now,
            schema_is_ok=True,
            meetings=counter.count(connection),
            recent=recent,
            recent_rate_limited=rate_limited,
            queues={job: queue.depth(connection, now=now) for job, queue in queues.items()},
            last_delivery=connection.scalar(_LAST_DELIVERY),
            last_start=connection.scalar(sa.select(sa.func.max(CONNECTS.c.received_at))),
            gates=list(connection.execute(sa.select(GATES))),
            processes=heartbeat.living(connection, now=now),
        )


def _recent(connection: Connection, now: datetime) -> tuple[StateCounts, StateCounts]:
    met_429 = sa.exists().where(
        ATTEMPTS.c.meeting_direct_connect_id == CONNECTS.c.id, ATTEMPTS.c.outcome == "rate_limited"
    )
    rows = connection.execute(
        sa.select(
            (CONNECTS.c.state + "").label("state"),
            sa.func.coalesce(CONNECTS.c.reason, "").label("reason"),
            met_429.label("met_429"),
            sa.func.count().label("number"),
        )
        .where(CONNECTS.c.received_at > now - RECENT)
        .group_by(sa.text("1, 2, 3"))
    ).all()
    recent, rate_limited = StateCounts(), StateCounts()
    for row in rows:
        recent[row.state, row.reason] += row.number
        rate_limited[row.state, row.reason] += row.number if row.met_429 else 0
    failed = failed_recently(connection, now=now, columns=(CONNECTS.c.state, CONNECTS.c.reason))
    recent.update((row.state, row.reason) for row in failed)
    return recent, rate_limited
