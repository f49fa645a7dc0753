"""Ask Zoom for a stream because a person wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import (
    CONNECTS,
    LIVE_STATES,
    STREAM_REQUESTS,
    RequestAction,
    RequestCause,
    RequestState,
)
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.jobs.restart.job import LEASE_SECONDS, RestartJob
from rtms.jobs.restart.open_requests import QUEUE, RequestToSend
from rtms.queue.leases import new_owner
from rtms.states import LONGEST_MEETING
from rtms.stream_requests import requests

_ACCEPTED = (RequestState.ACCEPTED, RequestState.FULFILLED)


@dataclass(frozen=True, kw_only=True)
class Requested:
    """What came of a request by hand."""

    done: bool  # it is open, or Zoom accepted it
    detail: str
    request_id: int | None = None  # of `stream_requests`; None where there is none


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person wants of Zoom."""

    action: RequestAction
    meeting_id: str  # the meeting's number
    operator_id: str | None = None  # the user whose stream it is; None lets Zoom choose
    lost: int | None = None  # the row of the stream that a new one is to continue
    meeting_uuid: str | None = None
    account_id: str | None = None  # of the meeting


def wanted_restart(database: Database, id: int) -> Wanted | Requested:
    """Return what to ask Zoom for, so that a lost stream is started again for the same user; or why
    it cannot be asked for.

    Args:
        id: the row of the lost stream.

    Raises:
        DatabaseUnavailable: the row could not be read.
    """
    with database.read() as connection:
        row = connection.execute(sa.select(CONNECTS).where(CONNECTS.c.id == id)).one_or_none()
    if row is None:
        return Requested(done=False, detail=f"There is no meeting {id}.")
    if row.state in LIVE_STATES and row.stopped_at is None:
        return Requested(done=False, detail=f"Meeting {id} is {row.state}: its stream is live.")
    if row.received_at < clock.now() - LONGEST_MEETING:
        return Requested(
            done=False,
            detail=f"Meeting {id} is over: no meeting lasts for more than "
            f"{LONGEST_MEETING // timedelta(hours=1)} hours.",
        )
    if row.meeting_id is None:
        return Requested(
            done=False,
            detail=f"Zoom did not say the number of meeting {id}, by which its API knows it. "
            "`flask streams start NUMBER` asks by the number.",
        )
    return Wanted(
        action=RequestAction.START,
        meeting_id=row.meeting_id,
        operator_id=row.operator_id,
        lost=id,
        meeting_uuid=row.meeting_uuid,
        account_id=row.account_id,
    )


def open_request(database: Database, wanted: Wanted) -> int | None:
    """Open a request, which a running server sends at once. It replaces an open one of this user in
    this meeting.

    Returns:
        Its id.

    Raises:
        DatabaseUnavailable: it was not opened.
    """
    return database.write(lambda connection: _open(database, connection, wanted))


def send_now(database: Database, job: RestartJob, wanted: Wanted) -> Requested:
    """Open a request like `open_request`, and send it from this process.

    Raises:
        DatabaseUnavailable: it was not sent, or its outcome was not recorded.
    """

    def open_and_lease(connection: Connection) -> RequestToSend | None:
        id = _open(database, connection, wanted)
        leased = QUEUE.claim(
            connection,
            limit=1,
            owner=new_owner(),
            now=clock.now(),
            seconds=LEASE_SECONDS,
            claiming=QUEUE.claiming(STREAM_REQUESTS.c.id == id),
        )
        return leased[0] if leased else None

    leased = database.write(open_and_lease)
    if leased is None:  # somebody else opened one at the same moment
        return Requested(
            done=True, detail="Zoom is being asked already. `flask streams list` shows the answer."
        )
    job.work(leased)
    with database.read() as connection:
        request = connection.execute(
            sa.select(STREAM_REQUESTS).where(STREAM_REQUESTS.c.id == leased.id)
        ).one()
    return Requested(
        done=request.state in _ACCEPTED, detail=_in_words(request), request_id=leased.id
    )


def _open(database: Database, connection: Connection, wanted: Wanted) -> int | None:
    database.serialize_on(connection, f"request:{wanted.meeting_id}")
    c = STREAM_REQUESTS.c
    replaced = [c.meeting_id == wanted.meeting_id]
    if wanted.operator_id or wanted.action == RequestAction.START:
        replaced.append(c.operator_id == (wanted.operator_id or ""))
    requests.withdraw(connection, sa.and_(*replaced), why="A person asked Zoom instead.")
    return requests.open_request(
        connection,
        cause=RequestCause.BY_HAND,
        action=wanted.action,
        meeting_id=wanted.meeting_id,
        meeting_uuid=wanted.meeting_uuid,
        account_id=wanted.account_id,
        operator_id=wanted.operator_id,
        replaces=wanted.lost,
        now=clock.now(),
    )


def _in_words(request: AnyRow) -> str:
    """Return the outcome of a request that was sent."""
    if request.state in _ACCEPTED:
        starts = request.action == RequestAction.START
        then = " It is connected when Zoom announces it." if starts else ""
        return (
            f"Zoom accepted the request to {request.action} the stream of meeting "
            f"{request.meeting_id}.{then}"
        )
    if request.state == RequestState.WAITING:
        next_at = f"{request.due_at:%H:%M:%S} UTC"
        return f"{request.last_error} A running server asks again at {next_at}."
    return str(request.last_error)
