"""The queue of rows to connect: which may be tried, and which are given up.

Statements for use inside a transaction. Each takes the current time as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
    taken_over_from: str | None  # the owner of an expired lease: a process that is gone


QUEUE = Queue(
    PendingRow,
    table=CONNECTS,
    predicate=PENDING,
    due_at=CONNECTS.c.due_at,
    order_by=CONNECTS.c.connect_by,  # the window that closes first
    index="ix_pending",
    waits_since=CONNECTS.c.received_at,
)

# Not leased, and at least one try has a known outcome.
_WAS_TRIED = sa.and_(CONNECTS.c.leased_until.is_(None), CONNECTS.c.attempts > 0)
# The stream was stopped and started again: a request for this run would disconnect the next one.
_NEWER = CONNECTS.alias("newer")
_RESTARTED = sa.and_(
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
# The row is due, or the clock was set back: a first try is never scheduled for later, and no other
# try for later than a window from now.
_MAY_BE_TRIED = sa.or_(
    CONNECTS.c.due_at <= NOW,
    sa.and_(CONNECTS.c.key_used_at.is_(None), CONNECTS.c.attempts == 0),
    CONNECTS.c.due_at > moment("window_from_now"),
)
_CLAIMS = [
    QUEUE.claiming(
        condition,
        _KEY_IS_KNOWN,
        sa.not_(_RESTARTED),
        is_due=_MAY_BE_TRIED,
        key_used_at=sa.func.coalesce(CONNECTS.c.key_used_at, NOW),
        taken_over_from=CONNECTS.c.lease_owner,  # the previous owner
    )
    for condition in (
        CONNECTS.c.connect_by > NOW,
        sa.and_(CONNECTS.c.connect_by <= NOW, sa.not_(_WAS_TRIED)),
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
_NEXT_EXPIRY = sa.select(sa.func.min(CONNECTS.c.connect_by)).where(QUEUE.predicate, _WAS_TRIED)


def next_due(connection: Connection, *, now: datetime, window: timedelta) -> datetime | None:
    """Return when a row is next due to be tried; None where there is none.

    Args:
        window: how long Zoom waits for a stream to be connected.
    """
    moments = {"now": now, "window_from_now": now + window}
    due: datetime | None = connection.scalar(_NEXT_DUE, moments)
    return due


def next_expiry(connection: Connection) -> datetime | None:
    """Return when the window of a tried row next closes; None where there is none."""
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
    """Lease at most `limit` due rows, in the order in which their windows close. Rows whose window
    closed before their first try come only when no other is due.

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


def any_hopeless(connection: Connection, *, now: datetime) -> bool:
    """Return whether `give_up` would give up a row. This takes no lock and a third of the time."""
    conditions = [condition for condition, _ in _endings(now)]
    hopeless = sa.exists().where(QUEUE.predicate, sa.or_(*conditions))
    return bool(connection.scalar(sa.select(hopeless)))


def give_up(connection: Connection, *, now: datetime) -> list[AnyRow]:
    """Give up the rows that can no longer be connected.

    Returns:
        Those rows: id, rtms_stream_id, tracking_id, state, reason, last_error.
    """
    c = CONNECTS.c
    return [
        row
        for condition, values in _endings(now)
        for row in connection.execute(
            CONNECTS.update()
            .where(QUEUE.predicate, condition)
            .values(due_at=None, lease_owner=None, leased_until=None, **values)
            .returning(c.id, c.rtms_stream_id, c.tracking_id, c.state, c.reason, c.last_error)
        )
    ]


def _endings(now: datetime) -> list[tuple[sa.ColumnElement[bool], dict[str, Any]]]:
    """Return which rows are given up, and how each ends."""
    stopped = CONNECTS.c.stopped_at.is_not(None)
    unleased = QUEUE.unleased(now)
    return [
        (  # It was tried, and its window has closed. Only a first try may come later.
            sa.and_(_WAS_TRIED, CONNECTS.c.connect_by <= now),
            {
                "state": sa.case((stopped, State.SKIPPED), else_=State.FAILED),
                "reason": sa.case((stopped, Reason.STOPPED_FIRST), else_=Reason.WINDOW_EXPIRED),
            },
        ),
        (  # Its outcome is unknown, and too old for its key to be used again.
            sa.and_(unleased, CONNECTS.c.key_used_at <= now - KEY_LIFETIME),
            {
                "state": State.FAILED,
                "reason": Reason.WINDOW_EXPIRED,
                "last_error": "The process that was connecting it ended, and it is not known "
                "whether Recall has the stream. Recall has forgotten the request by now, so "
                "repeating it could disconnect a live stream. Look in Recall for the metadata "
                "meeting_direct_connect_id with this row's id; if it is not there, `flask "
                "meetings retry` connects it again.",
            },
        ),
        (  # It is a stopped run of a stream that was started again.
            sa.and_(unleased, _RESTARTED),
            {
                "state": State.SKIPPED,
                "reason": Reason.STOPPED_FIRST,
                "last_error": "The stream stopped before it was known whether Recall had "
                "connected it, and was started again since: repeating the request would "
                "disconnect the new run. If Recall has a recording of this run, its metadata "
                "meeting_direct_connect_id is this row's id.",
            },
        ),
    ]
