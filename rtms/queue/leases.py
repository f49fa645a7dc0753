"""The table as a queue: which rows are due, and whose they are.

Statements for use inside a transaction; every one takes the moment it is to be judged by.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, NOTIFICATIONS, RECORDINGS, Reason, State
from rtms.db.database import AnyRow
from rtms.recall import rate_limit

# Recall keeps an answer under its key for an hour (Recall: idempotency). Later the same key would
# connect a second time and kick the first connection out, so it is not used that long.
KEY_LIFETIME = timedelta(minutes=55)

# Nobody is at work on it, and a try whose outcome is known was made.
_HAD_ITS_TRY = sa.and_(CONNECTS.c.leased_until.is_(None), CONNECTS.c.attempts > 0)


@dataclass(frozen=True, kw_only=True)
class Leased:
    """A row that is ours until its lease runs out, with what is needed to connect it."""

    id: int
    rtms_stream_id: str
    meeting_uuid: str
    server_urls: str
    idempotency_key: str
    tracking_id: str | None
    leased_until: datetime
    lease_owner: str  # another one for every lease: an old lease of ours is not this one
    taken_over_from: str | None  # whose lease ran out: a process that is gone


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A connected row that is ours until its lease runs out, to be asked about."""

    id: int
    rtms_stream_id: str
    recall_id: str
    tracking_id: str | None
    leased_until: datetime
    lease_owner: str


@dataclass(frozen=True, kw_only=True)
class Telling:
    """A notification that is ours until its lease runs out."""

    id: int
    event: str
    listener: str
    meeting_direct_connect_id: int
    recording_id: int | None
    created_at: datetime
    attempts: int
    leased_until: datetime
    lease_owner: str


@dataclass(frozen=True, kw_only=True)
class Archiving:
    """A recording that is ours to store until its lease runs out."""

    id: int
    meeting_direct_connect_id: int
    recall_recording_id: str
    expires_at: datetime | None
    archive_attempts: int
    leased_until: datetime
    lease_owner: str


L = TypeVar("L", Leased, Followed, Telling, Archiving)
_TABLES: dict[type, sa.Table] = {
    Leased: CONNECTS,
    Followed: CONNECTS,
    Telling: NOTIFICATIONS,
    Archiving: RECORDINGS,
}
# Zoom's stream was stopped and started again since: a request for this run would kick out the next.
_LATER = CONNECTS.alias("later")
_OVERTAKEN = sa.and_(
    CONNECTS.c.stopped_at.is_not(None),
    sa.exists().where(
        _LATER.c.rtms_stream_id == CONNECTS.c.rtms_stream_id,
        _LATER.c.event_ts > CONNECTS.c.event_ts,
        _LATER.c.state != State.SKIPPED,
    ),
)
_DUE_AT = {
    CONNECTS: CONNECTS.c.due_at,
    NOTIFICATIONS: NOTIFICATIONS.c.due_at,
    RECORDINGS: RECORDINGS.c.archive_due_at,
}
# Which rows of its table are of a kind at all. Written out, not bound: neither engine uses a
# partial index for a value it does not see.
_WHICH: dict[type, sa.TextClause] = {
    Leased: sa.text("state = 'pending'"),
    Followed: sa.text("state <> 'pending' AND due_at IS NOT NULL"),
    Telling: sa.text("due_at IS NOT NULL"),
    Archiving: sa.text("archive_due_at IS NOT NULL"),
}
_PENDING = _WHICH[Leased]
_Moment = datetime | sa.BindParameter[datetime]


def _moment(name: str) -> sa.BindParameter[datetime]:
    """A moment that is given when a statement is executed."""
    return sa.bindparam(name, type_=CONNECTS.c.due_at.type)


_NOW = _moment("now")
# Which go first: those whose window closes first, that ended last, oldest, that expire first.
_ORDER: dict[type, sa.ColumnElement[Any]] = {
    Leased: CONNECTS.c.connect_by,
    Followed: CONNECTS.c.stopped_at.desc().nulls_last(),
    Telling: NOTIFICATIONS.c.due_at,
    Archiving: RECORDINGS.c.expires_at.nulls_last(),
}
# Left to itself, SQLite reads and sorts all pending rows for each claim.
_INDEX: dict[type, str] = {
    Leased: "ix_pending",
    Followed: "ix_followed",
    Telling: "ix_notifications_due",
    Archiving: "ix_recordings_archive",
}
_GATES = {Followed: rate_limit.RETRIEVE_GATE, Archiving: rate_limit.RETRIEVE_GATE}


def _unleased(now: _Moment, table: sa.Table = CONNECTS) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.leased_until.is_(None), table.c.leased_until <= now)


def _claiming(
    kind: type,
    *which: sa.ColumnElement[bool],
    due: sa.ColumnElement[bool] | None = None,
    **more: Any,
) -> sa.Executable:
    """The statement that leases rows of a kind.

    Args:
        which: only these.
        due: which are due, by default those whose moment has come.
        more: what else to write into them.
    """
    table = _TABLES[kind]
    chosen = (
        sa.select(table.c.id)
        .where(
            _WHICH[kind],
            *which,
            _DUE_AT[table] <= _NOW if due is None else due,
            _unleased(_NOW, table),
        )
        .order_by(_ORDER[kind])
        .with_hint(table, f"INDEXED BY {_INDEX[kind]}", "sqlite")
        .limit(sa.bindparam("most", type_=sa.Integer()))
        # What another process is just taking is passed over. SQLite has one writer at a time.
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return (
        table.update()
        .where(table.c.id.in_(sa.select(chosen.c.id)))
        .values(lease_owner=sa.bindparam("owner"), leased_until=_moment("lease_ends"), **more)
        .returning(*(table.c[field.name] for field in fields(kind)))
    )


# What is asked again and again is put together once: SQLAlchemy takes longer for it than the
# database for its answer.
_CLAIM: dict[type, sa.Executable] = {
    kind: _claiming(kind) for kind in (Followed, Telling, Archiving)
}
_KEY_IS_KNOWN = sa.or_(
    CONNECTS.c.key_used_at.is_(None), CONNECTS.c.key_used_at > _moment("key_lifetime_ago")
)
# A row's moment has come, or no clock that is right can have set it: a first try waits for nothing,
# and no later one for longer than the window. (The clock was set back.)
_TO_BE_TRIED = sa.or_(
    CONNECTS.c.due_at <= _NOW,
    sa.and_(CONNECTS.c.key_used_at.is_(None), CONNECTS.c.attempts == 0),
    CONNECTS.c.due_at > _moment("window_from_now"),
)
_CLAIM_PENDING = [
    _claiming(
        Leased,
        which,
        _KEY_IS_KNOWN,
        sa.not_(_OVERTAKEN),
        due=_TO_BE_TRIED,
        key_used_at=sa.func.coalesce(CONNECTS.c.key_used_at, _NOW),
        taken_over_from=CONNECTS.c.lease_owner,  # as it was
    )
    for which in (
        CONNECTS.c.connect_by > _NOW,
        sa.and_(CONNECTS.c.connect_by <= _NOW, sa.not_(_HAD_ITS_TRY)),
    )
]
_NEXT_PENDING = sa.select(
    sa.func.min(
        sa.case(
            (CONNECTS.c.leased_until.is_not(None), CONNECTS.c.leased_until),
            (_TO_BE_TRIED, _NOW),
            else_=CONNECTS.c.due_at,
        )
    )
).where(_PENDING)
_NEXT_EXPIRY = sa.select(sa.func.min(CONNECTS.c.connect_by)).where(_PENDING, _HAD_ITS_TRY)
_NEXT_DUE = {
    kind: sa.select(
        sa.func.min(
            sa.case((table.c.leased_until.is_(None), _DUE_AT[table]), else_=table.c.leased_until)
        )
    ).where(_WHICH[kind])
    for kind, table in _TABLES.items()
}


def new_owner() -> str:
    """A name for a new lease: the host and process for people, and what makes it the only one."""
    return f"{_process()}:{uuid.uuid4().hex[:8]}"


def is_ours(owner: str) -> bool:
    """Whether a lease's owner is, or was, this process: its lease may have run out while the
    database was away."""
    return owner.rpartition(":")[0] == _process()


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def next_due(connection: Connection, kind: type[L]) -> datetime | None:
    """When a row will next want something of a kind; None where there is none."""
    due: datetime | None = connection.scalar(_NEXT_DUE[kind])
    opens_at = rate_limit.closed_until(connection, _GATES[kind]) if kind in _GATES else None
    return max(due, opens_at) if due and opens_at else due


def next_expiry(connection: Connection) -> datetime | None:
    """When the window of a pending row that had its try will next close; None where there is
    none."""
    expires: datetime | None = connection.scalar(_NEXT_EXPIRY)
    return expires


def next_pending(connection: Connection, *, now: datetime, window: timedelta) -> datetime | None:
    """When a pending row will next want to be tried; None where there is none."""
    moments = {"now": now, "window_from_now": now + window}
    due: datetime | None = connection.scalar(_NEXT_PENDING, moments)
    return due


def claim_pending(
    connection: Connection,
    *,
    limit: int,
    owner: str,
    now: datetime,
    seconds: float,
    window: timedelta,
) -> list[Leased]:
    """Lease at most `limit` due pending rows: those that can still be saved, in the order in which
    their windows close; where there is none, those whose window closed before their first try.

    Args:
        owner: a new name, see `new_owner`.
        seconds: how long the lease lasts.
        window: how long Zoom waits for a stream to be connected.
    """
    moments = {"window_from_now": now + window, "key_lifetime_ago": now - KEY_LIFETIME}
    lease = _lease(limit, owner, now, seconds)
    for claiming in _CLAIM_PENDING:
        leased = _claimed(connection, Leased, claiming, lease | moments)
        if leased:
            return leased
    return []


def claim_paced(
    connection: Connection,
    kind: type[L],
    *,
    limit: int,
    owner: str,
    now: datetime,
    seconds: float,
    seconds_each: float,
) -> list[L]:
    """Lease at most `limit` due rows that each ask something of Recall, at an even pace of all
    processes together: their gate closes for as long as those requests may take. Let it be the
    only transaction about that gate.

    Args:
        owner: a new name, see `new_owner`.
        seconds: how long the lease lasts.
        seconds_each: seconds from one request to the next.
    """
    opens_at = rate_limit.closed_until(connection, _GATES[kind])
    if opens_at and opens_at > now:
        return []
    rows = claim(connection, kind, limit=limit, owner=owner, now=now, seconds=seconds)
    if rows:
        until = now + timedelta(seconds=len(rows) * seconds_each)
        rate_limit.close(connection, _GATES[kind], until=until)
    return rows


def claim(
    connection: Connection,
    kind: type[L],
    *,
    limit: int,
    owner: str,
    now: datetime,
    seconds: float,
) -> list[L]:
    """Lease at most `limit` due rows of a kind, in the kind's order.

    Args:
        owner: a new name, see `new_owner`.
        seconds: how long the lease lasts.
    """
    return _claimed(connection, kind, _CLAIM[kind], _lease(limit, owner, now, seconds))


def _lease(limit: int, owner: str, now: datetime, seconds: float) -> dict[str, Any]:
    return {
        "most": limit,
        "owner": owner,
        "now": now,
        "lease_ends": now + timedelta(seconds=seconds),
    }


def _claimed(
    connection: Connection, kind: type[L], claiming: sa.Executable, values: dict[str, Any]
) -> list[L]:
    names = [field.name for field in fields(kind)]
    rows = connection.execute(claiming, values)
    return [kind(**dict(zip(names, row, strict=True))) for row in rows]


def renew(connection: Connection, leased: L, *, now: datetime, seconds: float) -> bool:
    """Let a lease last longer. False: it has run out, and the row is somebody else's."""
    table = _TABLES[type(leased)]
    renewed = connection.execute(
        table.update()
        .where(table.c.id == leased.id, table.c.lease_owner == leased.lease_owner)
        .values(leased_until=now + timedelta(seconds=seconds))
    )
    return renewed.rowcount == 1


def hand_back(connection: Connection, leased: Sequence[L], *, now: datetime) -> None:
    """Let leases run out now. The owner stays, as after a crash: what is in flight has an outcome
    that nobody knows."""
    for row in leased:
        table = _TABLES[type(row)]
        connection.execute(
            table.update()
            .where(table.c.id == row.id, table.c.lease_owner == row.lease_owner)
            .values(leased_until=now)
        )


def any_is_over(connection: Connection, *, now: datetime) -> bool:
    """Whether there is a row that `expire`, `abandon` or `overtake` would give up. To ask costs no
    lock, and a third of what they do."""
    over = sa.or_(_is_expired(now), _is_too_old(now), _is_overtaken(now))
    return bool(connection.scalar(sa.select(sa.exists().where(_PENDING, over))))


def expire(connection: Connection, *, now: datetime) -> Sequence[AnyRow]:
    """Give up what was tried in its window and not connected: tries after the first are made
    inside the window only.

    Returns:
        The rows given up: id, rtms_stream_id, tracking_id, state, reason, last_error.
    """
    stopped = CONNECTS.c.stopped_at.is_not(None)
    return _give_up(
        connection,
        _is_expired(now),
        state=sa.case((stopped, State.SKIPPED), else_=State.FAILED),
        reason=sa.case((stopped, Reason.STOPPED_FIRST), else_=Reason.WINDOW_EXPIRED),
    )


def abandon(connection: Connection, *, now: datetime) -> Sequence[AnyRow]:
    """Give up what a process that ended may have connected too long ago to ask again.

    Returns:
        The rows given up, as `expire` does.
    """
    return _give_up(
        connection,
        _is_too_old(now),
        state=State.FAILED,
        reason=Reason.WINDOW_EXPIRED,
        last_error="The process that was connecting it ended, and whether Recall has the stream "
        "is not known. Recall has forgotten the request by now, so repeating it could kick out a "
        "connection that lives. Look in Recall for the metadata meeting_direct_connect_id with "
        "this row's id; if it is not there, `flask meetings retry` connects anew.",
    )


def overtake(connection: Connection, *, now: datetime) -> Sequence[AnyRow]:
    """Give up stopped runs of streams that were started again, where nobody is at work on them.

    Returns:
        The rows given up, as `expire` does.
    """
    return _give_up(
        connection,
        _is_overtaken(now),
        state=State.SKIPPED,
        reason=Reason.STOPPED_FIRST,
        last_error="The stream stopped before it was known whether Recall had connected it, and "
        "was started again since: asking once more would kick out the next connection. If Recall "
        "has a recording of this run, its metadata meeting_direct_connect_id is this row's id.",
    )


def _give_up(
    connection: Connection, which: sa.ColumnElement[bool], **values: Any
) -> Sequence[AnyRow]:
    return connection.execute(
        CONNECTS.update()
        .where(_PENDING, which)
        .values(due_at=None, lease_owner=None, leased_until=None, **values)
        .returning(
            CONNECTS.c.id,
            CONNECTS.c.rtms_stream_id,
            CONNECTS.c.tracking_id,
            CONNECTS.c.state,
            CONNECTS.c.reason,
            CONNECTS.c.last_error,
        )
    ).all()


def _is_expired(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_HAD_ITS_TRY, CONNECTS.c.connect_by <= now)


def _is_too_old(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_unleased(now), CONNECTS.c.key_used_at <= now - KEY_LIFETIME)


def _is_overtaken(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_unleased(now), _OVERTAKEN)
