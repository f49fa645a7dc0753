"""The rows that wait to be connected: which may be tried, and which are given up.

Statements for use inside a transaction. Each takes the moment that it is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, PENDING, Reason, State
from rtms.db.database import AnyRow
from rtms.queue.leases import NOW, Leased, Queue, moment
from rtms.recall.idempotency import KEY_LIFETIME


@dataclass(frozen=True, kw_only=True)
class PendingRow(Leased):
    """A row to connect."""

    rtms_stream_id: str
    meeting_uuid: str
    server_urls: str
    idempotency_key: str
    tracking_id: str | None
    taken_over_from: str | None  # whose lease ran out: a process that is gone


QUEUE = Queue(
    PendingRow,
    table=CONNECTS,
    predicate=PENDING,
    due_at=CONNECTS.c.due_at,
    order_by=CONNECTS.c.connect_by,  # those whose window closes first go first
    index="ix_pending",
    waits_since=CONNECTS.c.received_at,
)

# It is not leased, and a try whose outcome is known was made.
_HAD_ITS_TRY = sa.and_(CONNECTS.c.leased_until.is_(None), CONNECTS.c.attempts > 0)
# Zoom's stream was stopped and started again since: a request for this run would kick out the next.
_NEWER = CONNECTS.alias("newer")
_OVERTAKEN = sa.and_(
    CONNECTS.c.stopped_at.is_not(None),
    sa.exists().where(
        _NEWER.c.rtms_stream_id == CONNECTS.c.rtms_stream_id,
        _NEWER.c.event_ts > CONNECTS.c.event_ts,
        _NEWER.c.state != State.SKIPPED,
    ),
)
_KEY_IS_KNOWN = sa.or_(
    CONNECTS.c.key_used_at.is_(None), CONNECTS.c.key_used_at > moment("key_lifetime_ago")
)
# A row's moment has come, or no clock that is right can have set it: a first try waits for nothing,
# and no later one for longer than the window. (The clock was set back.)
_MAY_BE_TRIED = sa.or_(
    CONNECTS.c.due_at <= NOW,
    sa.and_(CONNECTS.c.key_used_at.is_(None), CONNECTS.c.attempts == 0),
    CONNECTS.c.due_at > moment("window_from_now"),
)
_CLAIMS = [
    QUEUE.claiming(
        condition,
        _KEY_IS_KNOWN,
        sa.not_(_OVERTAKEN),
        is_due=_MAY_BE_TRIED,
        key_used_at=sa.func.coalesce(CONNECTS.c.key_used_at, NOW),
        taken_over_from=CONNECTS.c.lease_owner,  # as it was
    )
    for condition in (
        CONNECTS.c.connect_by > NOW,
        sa.and_(CONNECTS.c.connect_by <= NOW, sa.not_(_HAD_ITS_TRY)),
    )
]
_NEXT_DUE = sa.select(
    sa.func.min(
        sa.case(
            (CONNECTS.c.leased_until.is_not(None), CONNECTS.c.leased_until),
            (_MAY_BE_TRIED, NOW),
            else_=CONNECTS.c.due_at,
        )
    )
).where(QUEUE.predicate)
_NEXT_EXPIRY = sa.select(sa.func.min(CONNECTS.c.connect_by)).where(QUEUE.predicate, _HAD_ITS_TRY)


def next_due(connection: Connection, *, now: datetime, window: timedelta) -> datetime | None:
    """Return when a row will next want to be tried; None where there is none.

    Args:
        window: how long Zoom waits for a stream to be connected.
    """
    moments = {"now": now, "window_from_now": now + window}
    due: datetime | None = connection.scalar(_NEXT_DUE, moments)
    return due


def next_expiry(connection: Connection) -> datetime | None:
    """Return when the window of a row that had its try will next close; None where there is
    none."""
    expires: datetime | None = connection.scalar(_NEXT_EXPIRY)
    return expires


def claim(
    connection: Connection,
    *,
    limit: int,
    owner: str,
    now: datetime,
    seconds: float,
    window: timedelta,
) -> list[PendingRow]:
    """Lease at most `limit` due rows: those that can still be saved, in the order in which their
    windows close; where there is none, those whose window closed before their first try.

    Args:
        owner: a new name, see `rtms.queue.leases.new_owner`.
        seconds: how long the lease lasts.
        window: how long Zoom waits for a stream to be connected.
    """
    for claiming in _CLAIMS:
        rows = QUEUE.claim(
            connection,
            limit=limit,
            owner=owner,
            now=now,
            seconds=seconds,
            claiming=claiming,
            window_from_now=now + window,
            key_lifetime_ago=now - KEY_LIFETIME,
        )
        if rows:
            return rows
    return []


def any_is_over(connection: Connection, *, now: datetime) -> bool:
    """Return whether `give_up` would give up a row. To ask costs no lock, and a third of it."""
    over = sa.or_(_is_expired(now), _is_too_old(now), _is_overtaken(now))
    return bool(connection.scalar(sa.select(sa.exists().where(QUEUE.predicate, over))))


def give_up(connection: Connection, *, now: datetime) -> list[AnyRow]:
    """Give up the rows that no try can help any more.

    Returns:
        Those rows: id, rtms_stream_id, tracking_id, state, reason, last_error.
    """
    return [*_expire(connection, now), *_abandon(connection, now), *_overtake(connection, now)]


def _expire(connection: Connection, now: datetime) -> Sequence[AnyRow]:
    """Give up what was tried in its window and not connected: tries after the first are made
    inside the window only."""
    stopped = CONNECTS.c.stopped_at.is_not(None)
    return _end(
        connection,
        _is_expired(now),
        state=sa.case((stopped, State.SKIPPED), else_=State.FAILED),
        reason=sa.case((stopped, Reason.STOPPED_FIRST), else_=Reason.WINDOW_EXPIRED),
    )


def _abandon(connection: Connection, now: datetime) -> Sequence[AnyRow]:
    """Give up what a process that ended may have connected too long ago to ask again."""
    return _end(
        connection,
        _is_too_old(now),
        state=State.FAILED,
        reason=Reason.WINDOW_EXPIRED,
        last_error="The process that was connecting it ended, and whether Recall has the stream "
        "is not known. Recall has forgotten the request by now, so repeating it could kick out a "
        "connection that lives. Look in Recall for the metadata meeting_direct_connect_id with "
        "this row's id; if it is not there, `flask meetings retry` connects anew.",
    )


def _overtake(connection: Connection, now: datetime) -> Sequence[AnyRow]:
    """Give up stopped runs of streams that were started again, where no process has them."""
    return _end(
        connection,
        _is_overtaken(now),
        state=State.SKIPPED,
        reason=Reason.STOPPED_FIRST,
        last_error="The stream stopped before it was known whether Recall had connected it, and "
        "was started again since: asking once more would kick out the next connection. If Recall "
        "has a recording of this run, its metadata meeting_direct_connect_id is this row's id.",
    )


def _end(
    connection: Connection, condition: sa.ColumnElement[bool], **values: object
) -> Sequence[AnyRow]:
    return connection.execute(
        CONNECTS.update()
        .where(QUEUE.predicate, condition)
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
    return sa.and_(QUEUE.unleased(now), CONNECTS.c.key_used_at <= now - KEY_LIFETIME)


def _is_overtaken(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(QUEUE.unleased(now), _OVERTAKEN)
