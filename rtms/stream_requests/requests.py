"""Open, fulfil and withdraw requests to Zoom for streams.

Statements for use inside the transaction of the cause.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import (
    CONNECTS,
    LIVE,
    OPEN_REQUEST,
    STREAM_REQUESTS,
    RequestAction,
    RequestCause,
    RequestState,
)
from rtms.db.database import AnyRow
from rtms.db.engines import insert_into
from rtms.stream_requests.rules import cause_of_loss
from rtms.zoom.meanings import Started

_R = STREAM_REQUESTS.c
_NO_NUMBER = "Zoom did not say the meeting's number, so it cannot be asked for the stream again."


def ask_again(
    connection: Connection, config: Config, ids: Sequence[int], *, now: datetime
) -> list[int]:
    """Open a request for each lost stream that may be started again (`cause_of_loss`). A row whose
    meeting has no number says so.

    Args:
        ids: rows that were lost in this transaction.

    Returns:
        The rows whose stream is asked for.
    """
    if not config.restart_streams or not ids:
        return []
    asked = []
    rows = connection.execute(sa.select(CONNECTS).where(CONNECTS.c.id.in_(ids)))
    for row in rows.all():
        cause = cause_of_loss(state=row.state, reason=row.reason, stop_reason=row.stop_reason)
        if cause is None or row.superseded_by is not None or row.restarted_as is not None:
            continue
        if row.meeting_id is None:
            error = " ".join(filter(None, (row.last_error, _NO_NUMBER)))
            connection.execute(
                CONNECTS.update().where(CONNECTS.c.id == row.id).values(last_error=error)
            )
        elif open_request(
            connection,
            cause=cause,
            meeting_id=row.meeting_id,
            meeting_uuid=row.meeting_uuid,
            account_id=row.account_id,
            operator_id=row.operator_id,
            replaces=row.id,
            now=now,
        ):
            asked.append(row.id)
    return asked


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


def fulfil(connection: Connection, config: Config, start: Started, row_id: int | None) -> list[int]:
    """Close the open requests that a start answers, and name its row in those that it continues.

    Args:
        row_id: the start's row.

    Returns:
        The rows that it continues.
    """
    if row_id is None or not config.zoom_s2s_client_id:
        return []
    requests = connection.execute(
        sa.select(_R.id, _R.replaces, _R.attempts)
        .where(
            sa.text(OPEN_REQUEST),
            _R.action == RequestAction.START,
            _is_of(start.meeting_uuid, start.meeting_id),
            _R.operator_id.in_(("", start.operator_id)) if start.operator_id else sa.true(),
        )
        .with_for_update()
    ).all()
    for request in requests:
        state = RequestState.FULFILLED if request.attempts else RequestState.WITHDRAWN
        error = None if request.attempts else "The stream started before Zoom was asked for it."
        _close(connection, _R.id == request.id, state, error, led_to=row_id)
    continued = [request.replaces for request in requests if request.replaces]
    link(connection, continued, row_id)
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
    return withdraw(connection, _is_of(meeting_uuid, meeting_id), why=why)


def withdraw_of_rows(connection: Connection, ids: Sequence[int], *, why: str) -> int:
    """Withdraw the open requests of the meetings of these rows. Return how many there were."""
    if not ids:
        return 0
    meetings = sa.select(CONNECTS.c.meeting_uuid).where(CONNECTS.c.id.in_(ids))
    return withdraw(connection, _R.meeting_uuid.in_(meetings), why=why)


def lost_row_of(
    connection: Connection, *, meeting_uuid: str | None, meeting_id: str | None
) -> AnyRow | None:
    """Return the lost row for which Zoom is asked: `id` and `rtms_stream_id`; None where none is
    asked for."""
    if meeting_uuid is None and meeting_id is None:
        return None
    return connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id)
        .join(STREAM_REQUESTS, _R.replaces == CONNECTS.c.id)
        .where(sa.text(f"{STREAM_REQUESTS.name}.{OPEN_REQUEST}"), _is_of(meeting_uuid, meeting_id))
        .order_by(_R.id.desc())
        .limit(1)
    ).one_or_none()


def withdraw(connection: Connection, which: sa.ColumnElement[bool], *, why: str) -> int:
    """Withdraw the open requests of a condition, also one that is being sent.

    Returns:
        How many there were.
    """
    open_ones = sa.and_(sa.text(OPEN_REQUEST), which)
    return _close(connection, open_ones, RequestState.WITHDRAWN, why)


def meetings_asked_for(
    connection: Connection, *, meeting_uuids: Collection[str], meeting_ids: Collection[str]
) -> frozenset[str | None]:
    """Return the UUIDs and numbers of those of these meetings that have an open request."""
    rows = connection.execute(
        sa.select(_R.meeting_uuid, _R.meeting_id).where(
            sa.text(OPEN_REQUEST),
            sa.or_(_R.meeting_uuid.in_(meeting_uuids), _R.meeting_id.in_(meeting_ids)),
        )
    ).all()
    return frozenset(name for row in rows for name in row if name is not None)


def live_row_of(
    connection: Connection, *, meeting_uuid: str | None, meeting_id: str, operator_id: str
) -> int | None:
    """Return the live row of a user in a meeting; None where there is none. A row without a user
    counts as any user's.

    Args:
        operator_id: empty for any user.
    """
    c = CONNECTS.c
    same = c.meeting_uuid == meeting_uuid if meeting_uuid else c.meeting_id == meeting_id
    users = sa.or_(
        sa.literal(operator_id) == "", c.operator_id.is_(None), c.operator_id == operator_id
    )
    id: int | None = connection.scalar(
        sa.select(c.id).where(same, users, sa.text(LIVE)).order_by(c.id.desc()).limit(1)
    )
    return id


def _is_of(meeting_uuid: str | None, meeting_id: str | None) -> sa.ColumnElement[bool]:
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
