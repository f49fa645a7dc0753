"""Retry a failed meeting by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, State
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.connect import attempts
from rtms.jobs.connect.rivals import live_rival
from rtms.logs import about, meeting_of
from rtms.recall.idempotency import KEY_LIFETIME, new_key


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Whether a meeting was retried, and why or why not."""

    id: int
    done: bool
    detail: str


def retry(database: Database, id: int, *, window: timedelta) -> Retried:
    """Make a failed meeting pending again: due now, with a new window.

    Args:
        window: how long it is tried from now on.

    Raises:
        DatabaseUnavailable: nothing was changed.
    """

    def refused(why: str) -> Retried:
        return Retried(id=id, done=False, detail=why)

    def job(connection: Connection) -> Retried:
        row = connection.execute(
            sa.select(CONNECTS).where(CONNECTS.c.id == id).with_for_update()
        ).one_or_none()
        if row is None:
            return refused(f"There is no meeting {id}.")
        if row.state != State.FAILED:
            return refused(f"Meeting {id} is {row.state}: only failed meetings can be retried.")
        database.serialize_on(
            connection, f"stream:{row.rtms_stream_id}", f"meeting:{row.meeting_uuid}"
        )
        live = live_rival(connection, row)
        if live:
            return refused(f"Meeting {id} was not retried: meeting {live.id} {live.why}.")
        now = clock.now()
        # The old key gets the lost response again. Recall had answered, or has forgotten the key
        # after an hour: then only a new key has an effect.
        key_is_good = row.recall_id is None and (
            row.key_used_at is None or row.key_used_at > now - KEY_LIFETIME
        )
        new = {} if key_is_good else {"idempotency_key": new_key(), "key_used_at": None}
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
                **new,
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
            about(meeting_of(connection, id)).info("retried by hand")
    return retried
