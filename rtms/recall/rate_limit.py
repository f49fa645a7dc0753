"""Recall's rate limit, shared by all processes: how many creates may be sent now.

Statements for use inside a transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, GATES
from rtms.db.database import AnyRow, Database
from rtms.db.engines import insert_into
from rtms.recall import limit_estimate
from rtms.recall.limit_estimate import Limit, Sent

CREATE_GATE = "create"
RETRIEVE_GATE = "retrieve"
_MAX_CLOCK_SKEW = timedelta(seconds=5)  # between two machines

# Built once: building it takes longer than running it.
_CREATE_GATE = sa.select(GATES).where(
    GATES.c.name == CREATE_GATE,
    sa.or_(
        GATES.c.learned_at.is_(None),
        GATES.c.learned_at < sa.bindparam("soon", type_=GATES.c.learned_at.type),
    ),
)


def room_for_creates(
    database: Database, connection: Connection, *, now: datetime
) -> tuple[int | None, datetime | None]:
    """Return how many creates may be sent (`limit_estimate.room`). If a limit is known, lock it, so
    that all processes together keep to it."""
    gate = _gate(connection, now)
    if not database.is_sqlite and believed_limit(gate, now):
        database.serialize_on(connection, CREATE_GATE)
        gate = _gate(connection, now)
    return _room(connection, gate, now)


def peek_room_for_creates(
    connection: Connection, *, now: datetime
) -> tuple[int | None, datetime | None]:
    """Return the same as `room_for_creates`, without locking."""
    return _room(connection, _gate(connection, now), now)


def believed_limit(gate: AnyRow | None, now: datetime) -> Limit | None:
    """Return the limit in a gate's row; None where it has none or it is too old."""
    if gate is None or gate.learned_at is None:
        return None
    limit = Limit(
        creates=gate.creates,
        seconds=gate.seconds,
        learned_at=gate.learned_at,
        confirmed=gate.confirmed,
    )
    return limit if limit_estimate.is_believed(limit, now) else None


def _room(
    connection: Connection, gate: AnyRow | None, now: datetime
) -> tuple[int | None, datetime | None]:
    if gate and gate.closed_until > now:
        return 0, gate.closed_until
    limit = believed_limit(gate, now)
    sent = _sent(connection, since=now - limit_estimate.window(limit)) if limit else []
    return limit_estimate.room(limit, sent, now=now)


def refuse_create(
    connection: Connection, id: int, *, retry_after: float, now: datetime
) -> datetime:
    """Record that Recall refused a create (429), and close the gate for every process. The
    transaction must have locked the gate before any row.

    Args:
        id: the row whose create was refused.
        retry_after: seconds, from Recall's response.

    Returns:
        When the gate opens.
    """
    sent = _sent(connection, since=now - timedelta(seconds=limit_estimate.LOOK_BACK), but=id)
    gate = _gate(connection, now)
    limit, opens_at = limit_estimate.learn(
        sent, retry_after=retry_after, now=now, before=believed_limit(gate, now)
    )
    opens_at = max(opens_at, gate.closed_until) if gate else opens_at
    learned = {
        "closed_until": opens_at,
        "creates": limit.creates,
        "seconds": limit.seconds,
        "learned_at": limit.learned_at,
        "confirmed": limit.confirmed,
    }
    statement = insert_into(connection, GATES).values(name=CREATE_GATE, **learned)
    connection.execute(statement.on_conflict_do_update(index_elements=[GATES.c.name], set_=learned))
    return opens_at


def _gate(connection: Connection, now: datetime) -> AnyRow | None:
    """Return the gate, unless it was closed in the future: then the clock was set back, and the
    gate would stay closed too long."""
    gate = connection.execute(_CREATE_GATE, {"soon": now + _MAX_CLOCK_SKEW})
    return gate.one_or_none()


def _sent(connection: Connection, *, since: datetime, but: int = 0) -> list[Sent]:
    """Return the creates since a moment that were not refused, oldest first. (A refusal clears
    `key_used_at`.)"""
    rows = connection.execute(
        sa.select(CONNECTS.c.key_used_at, CONNECTS.c.recall_id.is_not(None).label("admitted"))
        .where(CONNECTS.c.key_used_at > since, CONNECTS.c.id != but)
        .order_by(CONNECTS.c.key_used_at)
    )
    return [Sent(at=row.key_used_at, admitted=row.admitted) for row in rows]
