"""What a person may do to the table: put a failed connection back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, LIVE, State
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.connect import attempts
from rtms.logs import about, meeting_of
from rtms.recall.idempotency import KEY_LIFETIME, new_key


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Whether a connection was put back, and in words why or why not."""

    id: int
    done: bool
    detail: str


def retry(database: Database, id: int, *, window: timedelta) -> Retried:
    """Put a failed connection back, due now, with a window of its own.

    Args:
        window: for how long it is tried from now on.

    Raises:
        DatabaseUnavailable: nothing was changed.
    """

    def job(connection: Connection) -> Retried:
        row = connection.execute(
            sa.select(CONNECTS).where(CONNECTS.c.id == id).with_for_update()
        ).one_or_none()
        if row is None:
            return Retried(id=id, done=False, detail=f"There is no meeting {id}.")
        if row.state != State.FAILED:
            return Retried(
                id=id,
                done=False,
                detail=f"Meeting {id} is {row.state}: only failed meetings can be retried.",
            )
        database.serialize_on(
            connection, f"stream:{row.rtms_stream_id}", f"meeting:{row.meeting_uuid}"
        )
        its_stream = CONNECTS.c.rtms_stream_id == row.rtms_stream_id
        # Where several streams of a meeting are wanted, there is no slot to be taken.
        its_slot = sa.false() if row.meeting_slot is None else _has_slot(row.meeting_slot)
        its_user = sa.and_(
            CONNECTS.c.meeting_uuid == row.meeting_uuid, CONNECTS.c.operator_id == row.operator_id
        )
        live = connection.execute(
            sa.select(
                CONNECTS.c.id,
                sa.case(
                    (its_stream, "has the same stream, and a second connection would kick it out"),
                    (its_user, "records a later stream of the same user in this meeting"),
                    else_="records the same meeting, and RECORD_STREAMS=first wants one stream "
                    "of it",
                ).label("why"),
            ).where(sa.or_(its_stream, its_slot, its_user), sa.text(LIVE))
        ).first()
        if live:
            return Retried(
                id=id,
                done=False,
                detail=f"Meeting {id} was not retried: meeting {live.id} {live.why}.",
            )
        now = clock.now()
        # The same key asks for the answer that was lost; after its hour, or where Recall had
        # answered, only a new one does anything.
        key_is_good = row.recall_id is None and (
            row.key_used_at is None or row.key_used_at > now - KEY_LIFETIME
        )
        key = {} if key_is_good else {"idempotency_key": new_key(), "key_used_at": None}
        connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == id)
            .values(
                state=State.PENDING,
                reason=None,
                attempts=0,
                last_error=None,
                due_at=now,
                connect_by=now + window,
                **key,
            )
        )
        attempts.record_retry(connection, id, now=now)
        stopped = " Its stream has stopped, so Recall may not find it." if row.stopped_at else ""
        return Retried(
            id=id,
            done=True,
            detail=f"Meeting {id} is pending again; a running server tries it at once.{stopped}",
        )

    retried = database.write(job)
    if retried.done:
        with database.read() as connection:
            about(meeting_of(connection, id)).info("put back by hand, to be connected")
    return retried


def _has_slot(slot: str) -> sa.ColumnElement[bool]:
    return CONNECTS.c.meeting_slot == slot
