"""Open, fulfil and withdraw requests to Zoom for streams.

Statements for use inside the transaction of the cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import (
    CONNECTS,
    OPEN_REQUEST,
    STREAM_REQUESTS,
    RequestAction,
    RequestCause,
    RequestState,
)
from rtms.db.engines import insert_into
from rtms.zoom.meanings import Started

_R = STREAM_REQUESTS.c


def open_request(
    connection: Connection,
    *,
    cause: RequestCause,
    meeting_id: str,
    now: datetime,
    action: RequestAction = RequestAction.START,
    meeting_uuid: str | None = None,
    account_id: str | None = None,
    operator_id: str | None = None,
    replaces: int | None = None,
    due_at: datetime | None = None,
    **lease: Any,
) -> int | None:
    """Open a request, unless one is open for this user in this meeting.

    Args:
        meeting_id: the meeting's number.
        operator_id: the user to start it for; None lets Zoom choose.
        replaces: the row of the lost stream.
        due_at: when it is first sent; by default now.
        lease: `lease_owner` and `leased_until`, where the caller sends it.

    Returns:
        Its id; None where one is open already.
    """
    if meeting_uuid is not None:
        # Every occurrence of a recurring meeting has the same number.
        others = sa.and_(
            _R.meeting_id == meeting_id,
            _R.operator_id == (operator_id or ""),
            _R.meeting_uuid != meeting_uuid,
        )
        withdraw(connection, others, why="A later occurrence of the meeting began.")
    statement = insert_into(connection, STREAM_REQUESTS).values(
        action=action,
        cause=cause,
        meeting_id=meeting_id,
        meeting_uuid=meeting_uuid,
        account_id=account_id,
        operator_id=operator_id or "",
        state=RequestState.WAITING,
        attempts=0,
        not_live=0,
        created_at=now,
        due_at=due_at or now,
        replaces=replaces,
        **lease,
    )
    id: int | None = connection.scalar(statement.on_conflict_do_nothing().returning(_R.id))
    return id


def fulfil(
    connection: Connection, config: Config, start: Started, row_id: int | None, *, is_wanted: bool
) -> list[int]:
    """Close the open requests that a start answers, and name its row in those that it continues.

    Args:
        row_id: the start's row.
        is_wanted: False: it is skipped, and continues nothing.

    Returns:
        The rows that it continues.
    """
    if row_id is None or not config.zoom_s2s_client_id:
        return []
    requests = connection.execute(
        sa.select(_R.id, _R.replaces, _R.sent_at).where(
            sa.text(OPEN_REQUEST),
            _R.action == RequestAction.START,
            is_of(start.meeting_uuid, start.meeting_id),
            _R.operator_id.in_(("", start.operator_id)) if start.operator_id else sa.true(),
        )
    ).all()
    continued = [each.replaces for each in requests if each.replaces and is_wanted]
    # Everyone locks meetings before requests: no deadlock.
    link(connection, continued, row_id)
    for request in requests:
        state = RequestState.FULFILLED if request.sent_at else RequestState.WITHDRAWN
        error = None if request.sent_at else "The stream started before Zoom was asked for it."
        is_open = sa.and_(_R.id == request.id, sa.text(OPEN_REQUEST))
        _close(connection, is_open, state, error, led_to=row_id)
    return continued


def link(connection: Connection, lost: Sequence[int], newer: int) -> None:
    """Name in the rows of lost streams the row that continues them."""
    if lost:
        connection.execute(
            CONNECTS.update()
            .where(
                CONNECTS.c.id.in_(lost), CONNECTS.c.id < newer, CONNECTS.c.restarted_as.is_(None)
            )
            .values(restarted_as=newer)
        )


def withdraw_meeting(
    connection: Connection, *, meeting_uuid: str | None, meeting_id: str | None, why: str
) -> int:
    """Withdraw the open requests of a meeting. Return how many there were."""
    return withdraw(connection, is_of(meeting_uuid, meeting_id), why=why)


def withdraw(connection: Connection, which: sa.ColumnElement[bool], *, why: str) -> int:
    """Withdraw the open requests of a condition, also one that is being sent.

    Returns:
        How many there were.
    """
    open_ones = sa.and_(sa.text(OPEN_REQUEST), which)
    return _close(connection, open_ones, RequestState.WITHDRAWN, why)


def is_of(meeting_uuid: str | None, meeting_id: str | None) -> sa.ColumnElement[bool]:
    """Return the condition that a request is of a meeting. Every occurrence of a recurring meeting
    has the same number, so the UUID decides where both have one."""
    by_number = sa.and_(_R.meeting_uuid.is_(None), _R.meeting_id == meeting_id)
    if meeting_uuid is None:
        return _R.meeting_id == meeting_id
    return sa.or_(_R.meeting_uuid == meeting_uuid, by_number)


def _close(
    connection: Connection,
    which: sa.ColumnElement[bool],
    state: RequestState,
    error: str | None,
    **values: Any,
) -> int:
    closed = connection.execute(
        STREAM_REQUESTS.update()
        .where(which)
        .values(
            state=state,
            due_at=None,
            lease_owner=None,
            leased_until=None,
            last_error=error,
            **values,
        )
    )
    return closed.rowcount
