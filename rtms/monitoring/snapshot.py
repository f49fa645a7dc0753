"""Where everything stands by the table, for whoever watches: what every process says alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import (
    ATTEMPTS,
    CONNECTS,
    EVENTS,
    GATES,
    NOTIFICATIONS,
    RECORDINGS,
    SCHEMA_REVISION,
    Source,
)
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.monitoring import heartbeat
from rtms.monitoring.meeting_counts import RECENT, Standings, Tally, failed_lately
from rtms.recall import limit_estimate, rate_limit

# What each lane's rows are, when they are due, and since when the oldest of them waits.
_QUEUES: dict[str, tuple[sa.Table, str, sa.Column[Any], sa.Column[Any]]] = {
    "connect": (CONNECTS, "state = 'pending'", CONNECTS.c.due_at, CONNECTS.c.received_at),
    "refresh": (
        CONNECTS,
        "state <> 'pending' AND due_at IS NOT NULL",
        CONNECTS.c.due_at,
        CONNECTS.c.due_at,
    ),
    "notify": (
        NOTIFICATIONS,
        "due_at IS NOT NULL",
        NOTIFICATIONS.c.due_at,
        NOTIFICATIONS.c.due_at,
    ),
    "archive": (
        RECORDINGS,
        "archive_due_at IS NOT NULL",
        RECORDINGS.c.archive_due_at,
        RECORDINGS.c.archive_due_at,
    ),
}

# Here and below, `+ ""` keeps SQLite from an index that it takes for the better one: it would find
# all that Zoom ever sent, and sort it; or look at every meeting there is, by state.
_LAST_DELIVERY = (
    sa.select(EVENTS.c.received_at)
    .where(EVENTS.c.source + "" == Source.ZOOM)
    .order_by(EVENTS.c.received_at.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """How much a lane has before it."""

    due: int  # rows that want something now and nobody is at work on
    leased: int  # rows that somebody is at work on
    oldest_seconds: float  # how long the one that waits longest has waited; 0 where none does


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the database says at a moment."""

    now: datetime
    schema_is_ok: bool
    meetings: Standings = field(default_factory=Counter)
    # That came within the last hour, or came earlier and failed within it.
    recent: Standings = field(default_factory=Counter)
    # That came within the last hour and met a 429.
    recent_rate_limited: Standings = field(default_factory=Counter)
    queues: dict[str, Queue] = field(default_factory=dict)
    last_delivery: datetime | None = None
    last_start: datetime | None = None
    gates: list[AnyRow] = field(default_factory=list)
    processes: list[AnyRow] = field(default_factory=list)


def look(database: Database, tally: Tally) -> Standing:
    """Look at everything that somebody may want to watch.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    now = clock.now()
    revision = database.revision()
    if revision is None or revision < SCHEMA_REVISION:
        return Standing(now=now, schema_is_ok=False)
    with database.read() as connection:
        recent, rate_limited = _recent(connection, now)
        return Standing(
            now=now,
            schema_is_ok=True,
            meetings=tally.count(connection),
            recent=recent,
            recent_rate_limited=rate_limited,
            queues={lane: _queue(connection, *each, now) for lane, each in _QUEUES.items()},
            last_delivery=connection.scalar(_LAST_DELIVERY),
            last_start=connection.scalar(sa.select(sa.func.max(CONNECTS.c.received_at))),
            gates=list(connection.execute(sa.select(GATES))),
            processes=heartbeat.living(connection, now=now),
        )


def believed_limit(gate: AnyRow, now: datetime) -> limit_estimate.Limit | None:
    """What Recall is believed to admit, where a gate's row says so and it is fresh enough."""
    if gate.name != rate_limit.CREATE_GATE or gate.learned_at is None:
        return None
    limit = limit_estimate.Limit(
        creates=gate.creates,
        seconds=gate.seconds,
        learned_at=gate.learned_at,
        confirmed=gate.confirmed,
    )
    return limit if limit_estimate.is_believed(limit, now) else None


def _recent(connection: Connection, now: datetime) -> tuple[Standings, Standings]:
    met_429 = sa.exists().where(
        ATTEMPTS.c.meeting_direct_connect_id == CONNECTS.c.id,
        ATTEMPTS.c.outcome == "rate_limited",
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
    recent, rate_limited = Standings(), Standings()
    for row in rows:
        recent[row.state, row.reason] += row.number
        rate_limited[row.state, row.reason] += row.number if row.met_429 else 0
    late = failed_lately(connection, now=now, columns=(CONNECTS.c.state, CONNECTS.c.reason))
    recent.update((row.state, row.reason) for row in late)
    return recent, rate_limited


def _queue(
    connection: Connection,
    table: sa.Table,
    which: str,
    due_at: sa.Column[Any],
    since: sa.Column[Any],
    now: datetime,
) -> Queue:
    is_leased = table.c.leased_until > now
    is_due = sa.and_(sa.func.coalesce(is_leased, sa.false()).is_(sa.false()), due_at <= now)
    waits = sa.case((is_due, since)) if since is due_at else since
    row = connection.execute(
        sa.select(
            sa.func.count(sa.case((is_due, 1))).label("due"),
            sa.func.count(sa.case((is_leased, 1))).label("leased"),
            sa.func.min(waits).label("oldest"),
        ).where(sa.text(which))
    ).one()
    waited = (now - row.oldest).total_seconds() if row.oldest else 0.0
    return Queue(due=row.due, leased=row.leased, oldest_seconds=max(waited, 0.0))
