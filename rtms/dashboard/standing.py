"""How things stand at this moment: what is live, what waits, who works, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, PROCESSES, State
from rtms import clock, gates
from rtms.dashboard import totals
from rtms.dashboard.totals import History
from rtms.database import AnyRow

ALIVE_FOR = timedelta(seconds=60)  # since a process said so
OVERDUE_AFTER = timedelta(seconds=5)
_LIVE_SHOWN = 5
_FAILURES_SHOWN = 10
_REASONS_READ = 200
_CONNECTS_READ = 1000

_PENDING = sa.text("state = 'pending'")  # written out: see rtms/leases.py
_SHOWN = [
    CONNECTS.c[name]
    for name in (
        "id", "meeting_id", "meeting_uuid", "product", "state", "reason", "last_error",
        "received_at", "connected_at",
    )
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Everything that the overview shows."""

    now: datetime
    history: History
    live: int
    newest_live: Sequence[AnyRow]
    waiting: int
    oldest_waiting: AnyRow | None
    is_overdue: bool  # a row is due, and for some seconds nobody has taken it
    processes: Sequence[AnyRow]  # that are alive
    gate_closed_until: datetime | None
    failures: Sequence[AnyRow]  # the newest of the week
    reasons: Sequence[str]  # why the newest of the last hour failed
    connect_seconds: Sequence[float]  # from Zoom's event, of the day's newest connects
    has_any: bool  # whether any meeting was ever seen

    @property
    def connecting(self) -> int:
        """How many processes connect streams."""
        return sum(1 for process in self.processes if process.dispatches)


def read(connection: Connection, *, now: datetime) -> Standing:
    """Ask the database."""
    history = totals.read(connection, now=now)
    c = CONNECTS.c
    live, waiting = (_count(connection, state) for state in (State.CONNECTED, State.PENDING))
    overdue = sa.select(c.id).where(
        _PENDING,
        c.due_at <= now - OVERDUE_AFTER,
        sa.or_(c.leased_until.is_(None), c.leased_until <= now - OVERDUE_AFTER),
    )
    gate = gates.closed_until(connection, gates.CREATE_GATE)
    return Standing(
        now=now,
        history=history,
        live=live,
        newest_live=_newest(connection, State.CONNECTED, _LIVE_SHOWN),
        waiting=waiting,
        oldest_waiting=connection.execute(
            sa.select(*_SHOWN).where(_PENDING).order_by(c.connect_by).limit(1)
        ).one_or_none(),
        is_overdue=connection.execute(overdue.limit(1)).one_or_none() is not None,
        processes=connection.execute(
            sa.select(PROCESSES.c.kind, PROCESSES.c.dispatches).where(
                PROCESSES.c.seen_at > now - ALIVE_FOR
            )
        ).all(),
        gate_closed_until=gate if gate and gate > now else None,
        failures=_newest(
            connection, State.FAILED, _FAILURES_SHOWN, since_id=history.first_ids[totals.WEEK]
        ),
        reasons=connection.scalars(
            sa.select(c.reason)
            .where(c.state == State.FAILED, c.id >= history.first_ids[totals.HOUR])
            .order_by(c.state.desc(), c.id.desc())
            .limit(_REASONS_READ)
        ).all(),
        connect_seconds=_connect_seconds(connection, history.first_ids[totals.DAY]),
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
    """How long the newest connects took, in seconds from when Zoom's window began."""
    c = CONNECTS.c
    by_state = [  # each along its part of the index, which has all that is asked
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
        sa.select(c.event_ts, c.received_at, c.connected_at).where(
            c.id.in_(newest), c.connected_at.is_not(None)
        )
    )
    return [_took(*row) for row in rows]


def _took(event_ts: int, received_at: datetime, connected_at: datetime) -> float:
    # A sender's clock that is ahead of ours does not count, as in rtms/effects.py.
    began_at = min(clock.from_milliseconds(event_ts), received_at)
    return max((connected_at - began_at).total_seconds(), 0.0)
