"""The job that asks Recall about connected streams until their recordings are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, RECORDINGS, Reason, Source, State
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.jobs.follow import recording_rows
from rtms.jobs.follow.followed import QUEUE, FollowedRow
from rtms.jobs.follow.next_state import NextState, next_state
from rtms.jobs.names import JobName
from rtms.logs import about
from rtms.queue import paced
from rtms.queue.paced import Pace
from rtms.queue.queue_job import QueueJob
from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recall.lookup import at_once, look_up
from rtms.recall.polling import next_look
from rtms.recall.rate_limit import RETRIEVE_GATE
from rtms.recall.recording_config import audio_count, keeps_nothing
from rtms.recall.responses import DirectConnectState

_THREADS = 4
_BURST = 4  # rows a lease, so requests that may be made at once
_LONGEST_TURN = 5.0  # seconds that a thread waits for another request about its row


class FollowJob(QueueJob[FollowedRow]):
    """Asks Recall about connected rows and records its answers."""

    name = JobName.FOLLOW
    threads = _THREADS

    def __init__(self, database: Database, recall: Recall, config: Config) -> None:
        # An even pace for all processes together, with room for one burst.
        seconds_each = 60 / max(config.recall_retrieves_per_minute - _BURST, 1)
        self._turns = Pace(database, RETRIEVE_GATE, seconds_each=seconds_each)
        super().__init__(
            database,
            QUEUE,
            # Longer than the two requests that a row may take.
            lease_seconds=2 * config.lease_seconds + _LONGEST_TURN,
            pace=self._turns,
            most=_BURST,
        )
        self._recall = recall
        self._config = config

    def work(self, row: FollowedRow) -> None:
        """Ask Recall about a row and record the answer."""
        refresh(
            self.database,
            self._recall,
            self._config,
            row.id,
            row.recall_id,
            owner=row.lease_owner,
            take_turn=self._take_turn,
        )

    def _take_turn(self) -> None:
        """Wait until another request to Recall may be made.

        Raises:
            RecallError: the wait would be too long.
        """
        wait = self._turns.take_turn()
        if wait > _LONGEST_TURN:
            raise RecallError(f"Recall asked for no further requests for {wait:.0f} seconds.")
        time.sleep(wait)


def refresh(
    database: Database,
    recall: Recall,
    config: Config,
    id: int,
    recall_id: str,
    *,
    owner: str | None = None,
    take_turn: Callable[[], None] = at_once,
) -> str | None:
    """Ask Recall about a direct connect and record the answer.

    Args:
        owner: the lease's owner, which must still hold it; None where a person asks.
        take_turn: waits until another request may be made, where one is not enough.

    Returns:
        What went wrong; None where Recall answered.

    Raises:
        DatabaseUnavailable: nothing was written.
    """
    with database.read() as connection:
        due_at_before, answer_before = _recorded(connection, id)
    try:
        audio = audio_count(config.recording_config)
        found, trouble = look_up(recall, recall_id, audio=audio, take_turn=take_turn), None
    except RecallError as error:
        found, trouble = None, error

    def write(connection: Connection) -> tuple[AnyRow, NextState] | None:
        now = clock.now()
        if trouble and trouble.retry_after is not None:
            until = now + timedelta(seconds=trouble.retry_after)
            paced.close(connection, RETRIEVE_GATE, until=until)
        row = _locked(connection, id, owner)
        if row is None:
            return None
        leased_by_another = not owner and row.leased_until is not None and row.leased_until > now
        change: dict[str, Any] = {}
        if not leased_by_another:
            change = {"lease_owner": None, "leased_until": None}
        _, answer_now = _recorded(connection, id)
        if answer_now != answer_before:
            # Another process asked meanwhile, and either answer may be the newer one: ask again.
            change["due_at"] = now
            connection.execute(CONNECTS.update().where(CONNECTS.c.id == id).values(change))
            return None
        new = _next_state(connection, row, found, trouble, config, now)
        hinted = row.due_at is not None and row.due_at != due_at_before and row.due_at <= now
        change |= {
            "state": new.state,
            "reason": new.reason,
            # A status webhook that arrived meanwhile may be newer than this answer.
            "due_at": row.due_at if hinted or leased_by_another else new.due_at,
            "last_error": new.error,
        }
        if found:
            anew = owner is None
            recording_rows.record(connection, config, row, found, new, now=now, anew=anew)
            change |= {"status": found.status or row.status, "sub_code": found.sub_code}
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == id).values(change))
        return row, new

    written = database.write(write)
    if written:
        _log(*written, archived=config.archive_url is not None)
    return str(trouble) if trouble else None


def _recorded(connection: Connection, id: int) -> tuple[datetime | None, Sequence[AnyRow]]:
    """Return when a direct connect is due and what Recall's last answer about it was, to detect a
    concurrent change."""
    due_at = connection.scalar(sa.select(CONNECTS.c.due_at).where(CONNECTS.c.id == id))
    recordings = sa.select(RECORDINGS.c.id, RECORDINGS.c.status, RECORDINGS.c.media)
    answer = connection.execute(
        recordings.where(RECORDINGS.c.meeting_direct_connect_id == id).order_by(RECORDINGS.c.id)
    )
    return due_at, answer.all()


def _locked(connection: Connection, id: int, owner: str | None) -> AnyRow | None:
    wanted = sa.select(CONNECTS).where(CONNECTS.c.id == id).with_for_update()
    if owner:
        wanted = wanted.where(CONNECTS.c.lease_owner == owner)
    return connection.execute(wanted).one_or_none()


def _next_state(
    connection: Connection,
    row: AnyRow,
    found: DirectConnectState | None,
    trouble: RecallError | None,
    config: Config,
    now: datetime,
) -> NextState:
    times = {
        "now": now,
        "connected_at": row.connected_at or row.received_at,
        "stopped_at": row.stopped_at,
        "news_at": _hinted_at(connection, row),
    }
    if found:
        nothing = keeps_nothing(config.recording_config)
        return next_state(found, state=row.state, reason=row.reason, keeps_nothing=nothing, **times)
    assert trouble
    if trouble.status != 404:
        return NextState(
            state=row.state,
            reason=row.reason,
            due_at=next_look(state=row.state, **times),
            error=str(trouble),
        )
    error = "Recall does not have it any more (404): it was deleted, or is in another region."
    if row.state in (State.DONE, State.FAILED):
        return NextState(state=row.state, reason=row.reason, error=error)
    recorded = sa.exists().where(RECORDINGS.c.meeting_direct_connect_id == row.id)
    if connection.scalar(sa.select(recorded)):
        return NextState(state=State.DONE, error=error)
    return NextState(state=State.FAILED, reason=Reason.RECALL_FAILED, error=error)


def _hinted_at(connection: Connection, row: AnyRow) -> datetime | None:
    """Return when Recall last sent a status webhook about a row."""
    at: datetime | None = connection.scalar(
        sa.select(sa.func.max(EVENTS.c.received_at)).where(
            EVENTS.c.rtms_stream_id == row.rtms_stream_id, EVENTS.c.source == Source.RECALL
        )
    )
    return at


def _log(row: AnyRow, new: NextState, *, archived: bool) -> None:
    where = about(row, recall_id=row.recall_id)
    if new.state != row.state:
        done = where.debug if archived else where.info  # the archive job logs the end
        write = where.error if new.state == State.FAILED else done
        write("recording " + new.state, reason=new.reason, error=new.error)
    elif new.error:
        write = where.debug if row.last_error else where.warning  # warn once
        write("not refreshed", error=new.error, next_look=new.due_at)
