"""The current state: what is live, what waits, which processes work, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, PENDING, State
from rtms.dashboard.overview import totals
from rtms.dashboard.overview.totals import History
from rtms.db.database import AnyRow
from rtms.monitoring import heartbeat
from rtms.monitoring.meeting_counts import failed_recently
from rtms.queue.paced import closed_until
from rtms.recall.rate_limit import CREATE_GATE
from rtms.zoom.stop_reasons import NOT_AUTHENTICATED

OVERDUE_AFTER = timedelta(seconds=5)
_LIVE_SHOWN = 5
_FAILURES_SHOWN = 10
_CONNECTS_READ = 1000

_PENDING = sa.text(PENDING)
_SHOWN = [
    CONNECTS.c[name]
    for name in (
        "id", "meeting_id", "meeting_uuid", "product", "topic", "state", "reason", "last_error",
        "received_at", "connected_at", "stopped_at", "stop_reason", "superseded_by",
        "restarted_as", "recall_id", "status",
    )
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OverviewSnapshot:
    """Everything that the overview shows."""

    now: datetime
    history: History
    live: int
    newest_live: Sequence[AnyRow]
    waiting: int
    oldest_waiting: AnyRow | None
    is_overdue: bool  # a row has been due for some seconds, and no process has leased it
    processes: Sequence[AnyRow]  # that are alive
    gate_closed_until: datetime | None
    failures: Sequence[AnyRow]  # those that failed late, then the newest of the week
    reasons: Mapping[str, int]  # why meetings failed in the last hour, and how many
    connect_seconds: Sequence[float]  # from the delivery, of the day's newest connects
    unauthenticated: AnyRow | None  # the newest of the last hour that Zoom ended with reason 18
    has_any: bool  # whether any meeting was ever seen

    @property
    def connecting(self) -> int:
        """How many processes connect streams."""
        return sum(1 for process in self.processes if process.dispatches)

    @property
    def failed(self) -> int:
        """How many meetings failed in the last hour, whenever they began."""
        return sum(self.reasons.values())


def read(connection: Connection, *, now: datetime) -> OverviewSnapshot:
    """Read the database."""
    history = totals.read(connection, now=now)
    late = failed_recently(connection, now=now, columns=_SHOWN)
    newest_failed = _newest(
        connection, State.FAILED, _FAILURES_SHOWN, since_id=history.first_ids[totals.WEEK]
    )
    failures = {row.id: row for row in (*late, *newest_failed)}
    c = CONNECTS.c
    live, waiting = (_count(connection, state) for state in (State.CONNECTED, State.PENDING))
    overdue = sa.select(c.id).where(
        _PENDING,
        c.due_at <= now - OVERDUE_AFTER,
        sa.or_(c.leased_until.is_(None), c.leased_until <= now - OVERDUE_AFTER),
    )
    gate = closed_until(connection, CREATE_GATE)
    return OverviewSnapshot(
        now=now,
        history=history,
        live=live,
        newest_live=_newest(connection, State.CONNECTED, _LIVE_SHOWN),
        waiting=waiting,
        oldest_waiting=connection.execute(
            sa.select(*_SHOWN).where(_PENDING).order_by(c.connect_by).limit(1)
        ).one_or_none(),
        is_overdue=connection.execute(overdue.limit(1)).one_or_none() is not None,
        processes=heartbeat.living(connection, now=now),
        gate_closed_until=gate if gate and gate > now else None,
        failures=list(failures.values())[:_FAILURES_SHOWN],
        reasons=Counter(history.reasons) + Counter(row.reason for row in late),
        connect_seconds=_connect_seconds(connection, history.first_ids[totals.DAY]),
        unauthenticated=connection.execute(
            sa.select(*_SHOWN)
            .where(c.received_at >= now - totals.HOUR, c.stop_reason == NOT_AUTHENTICATED)
            .order_by(c.received_at.desc())
            .limit(1)
        ).one_or_none(),
        has_any=connection.scalar(sa.select(c.id).order_by(c.id.desc()).limit(1)) is not None,
    )


def _count(connection: Connection, state: State) -> int:
    statement = sa.select(sa.func.count()).select_from(CONNECTS).where(CONNECTS.c.state == state)
    return connection.scalar(statement) or 0


def _newest(
    connection: Connection, state: State, limit: int, *, since_id: int = 0
) -> Sequence[AnyRow]:
    return connection.execute(
        sa.select(*_SHOWN)
        .where(CONNECTS.c.state == state, CONNECTS.c.id >= since_id)
        .order_by(CONNECTS.c.state.desc(), CONNECTS.c.id.desc())
        .limit(limit)
    ).all()


def _connect_seconds(connection: Connection, since_id: int) -> list[float]:
    """Return how many seconds after their delivery the newest connects were made."""
    c = CONNECTS.c
    by_state = [  # each in its part of the index, which covers the query
        sa.select(c.id)
        .where(c.state == state, c.id >= since_id)
        .order_by(c.state.desc(), c.id.desc())
        .limit(_CONNECTS_READ)
        .subquery()
        for state in (State.CONNECTED, State.ENDED, State.DONE)
    ]
    ids = sa.union_all(*(sa.select(each.c.id) for each in by_state)).subquery()
    newest = sa.select(ids.c.id).order_by(ids.c.id.desc()).limit(_CONNECTS_READ)
    rows = connection.execute(
        sa.select(c.received_at, c.connected_at).where(
            c.id.in_(newest), c.connected_at.is_not(None)
        )
    )
    return [max((row.connected_at - row.received_at).total_seconds(), 0.0) for row in rows]
