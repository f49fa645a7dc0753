"""Following a connection to its end: the lane that asks Recall what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, RECORDINGS, Happening, Reason, State
from rtms import clock, gates, leases, outbox
from rtms.asked_for import audio_count
from rtms.database import AnyRow, Database, insert_into
from rtms.followup import Standing, next_look, stand
from rtms.leases import Followed
from rtms.logs import about
from rtms.lookup import at_once, look_up
from rtms.media import ConnectionState, RecordingState
from rtms.recall import Recall, RecallError

REFRESH_LANE = "refresh"
_THREADS = 4
_AT_ONCE = 4  # rows a lease; what may be asked beyond an even pace
_LONGEST_TURN = 5.0  # seconds that a thread waits to ask once more about its row

_HAPPENINGS = {"done": Happening.RECORDING_DONE, "failed": Happening.RECORDING_FAILED}


class RefreshLane:
    """Connected rows, and what Recall says of them."""

    name = REFRESH_LANE
    threads = _THREADS

    def __init__(self, database: Database, recall: Recall, config: Config) -> None:
        self._database = database
        self._recall = recall
        self._config = config
        # Longer than a call takes, and than another one to look up what the first leaves out.
        self._lease_seconds = 2 * config.lease_seconds + _LONGEST_TURN
        # An even pace for all processes together, with room for one lease at once.
        self._seconds_each = 60 / max(config.recall_retrieves_per_minute - _AT_ONCE, 1)

    def next_due(self) -> datetime | None:
        with self._database.read() as connection:
            return leases.next_due(connection, Followed)

    def lease(self, limit: int) -> Sequence[Followed]:
        owner = leases.new_owner()

        def job(connection: Connection) -> list[Followed]:
            self._database.serialize_on(connection, gates.RETRIEVE_GATE)
            return leases.claim_paced(
                connection,
                Followed,
                limit=min(limit, _AT_ONCE),
                owner=owner,
                now=clock.now(),
                seconds=self._lease_seconds,
                seconds_each=self._seconds_each,
            )

        return self._database.write(job)

    def work(self, job: Followed) -> None:
        refresh(
            self._database,
            self._recall,
            self._config,
            job.id,
            job.recall_id,
            owner=job.lease_owner,
            take_turn=self._take_turn,
        )

    def _take_turn(self) -> None:
        """Wait until Recall may be asked once more.

        Raises:
            RecallError: that would take too long.
        """
        wait = gates.take_turn(self._database, gates.RETRIEVE_GATE, seconds_each=self._seconds_each)
        if wait > _LONGEST_TURN:
            raise RecallError(f"Recall is not to be asked for {wait:.0f} seconds: it said so.")
        time.sleep(wait)

    def hand_back(self, jobs: Sequence[Followed]) -> None:
        self._database.write(lambda connection: leases.hand_back(connection, jobs, now=clock.now()))


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
    """Ask Recall about a connection and write down what it says.

    Args:
        owner: the lease's owner, where the row must still be leased by it; None: a person asks.
        take_turn: waits until Recall may be asked once more, where one answer is not enough.

    Returns:
        What went wrong, in words; None where Recall answered.

    Raises:
        DatabaseUnavailable: nothing was written.
    """
    try:
        audio = audio_count(config.recording_config)
        found, trouble = look_up(recall, recall_id, audio=audio, take_turn=take_turn), None
    except RecallError as error:
        found, trouble = None, error

    def write(connection: Connection) -> tuple[AnyRow, Standing] | None:
        now = clock.now()
        if trouble and trouble.retry_after is not None:
            until = now + timedelta(seconds=trouble.retry_after)
            gates.close(connection, gates.RETRIEVE_GATE, until=until)
        row = _locked(connection, id, owner)
        if row is None:
            return None
        standing = _stand(connection, row, found, trouble, now)
        for event, recording_id in _happened(connection, row, found, standing):
            outbox.put(
                connection, outbox.listeners(config), event, id, now=now, recording_id=recording_id
            )
        if config.archive_url and found:
            # What a person refreshes is tried anew, even if it was given up.
            _to_archive(connection, found, id, now=now, anew=owner is None)
        change: dict[str, Any] = {
            "state": standing.state,
            "reason": standing.reason,
            "due_at": standing.due_at,
            "last_error": standing.error,
            "lease_owner": None,
            "leased_until": None,
        }
        if found:
            change |= {"status": found.status or row.status, "sub_code": found.sub_code}
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == id).values(change))
        return row, standing

    written = database.write(write)
    if written:
        _tell(*written, archived=config.archive_url is not None)
    return str(trouble) if trouble else None


def _locked(connection: Connection, id: int, owner: str | None) -> AnyRow | None:
    wanted = sa.select(CONNECTS).where(CONNECTS.c.id == id).with_for_update()
    if owner:
        wanted = wanted.where(CONNECTS.c.lease_owner == owner)
    return connection.execute(wanted).one_or_none()


def _stand(
    connection: Connection,
    row: AnyRow,
    found: ConnectionState | None,
    trouble: RecallError | None,
    now: datetime,
) -> Standing:
    times = {"connected_at": row.connected_at or row.received_at, "stopped_at": row.stopped_at}
    if found:
        return stand(found, state=row.state, now=now, **times)
    assert trouble
    if trouble.status != 404:
        return Standing(
            state=row.state,
            reason=row.reason,
            due_at=next_look(state=row.state, now=now, **times),
            error=str(trouble),
        )
    error = "Recall no longer has it (404): it was deleted there, or it belongs to another region."
    if connection.scalar(_recordings_of(row.id)):
        return Standing(state=State.DONE, error=error)
    return Standing(state=State.FAILED, reason=Reason.RECALL_FAILED, error=error)


def _recordings_of(id: int) -> sa.Select[Any]:
    return sa.select(sa.func.count()).where(RECORDINGS.c.meeting_direct_connect_id == id)


def _happened(
    connection: Connection, row: AnyRow, found: ConnectionState | None, standing: Standing
) -> list[tuple[Happening, int | None]]:
    """Write the recordings down; returns what reached an end with that."""
    happened: list[tuple[Happening, int | None]] = []
    for recording in found.recordings if found else ():
        before, recording_id = _keep(connection, row.id, recording)
        event = _HAPPENINGS.get(recording.status)
        if event and recording_id and recording.status != before:
            happened.append((event, recording_id))
    newly_failed = standing.state == State.FAILED != row.state
    if newly_failed and not happened:
        happened.append((Happening.RECORDING_FAILED, None))
    return happened


def _keep(
    connection: Connection, id: int, recording: RecordingState
) -> tuple[str | None, int | None]:
    """Write a recording down as it is now; its media by status only, never by link.

    Returns:
        Its status before, and its row; none where the recording is another connection's.
    """
    values = {
        "status": recording.status,
        "sub_code": recording.sub_code,
        "started_at": recording.started_at,
        "completed_at": recording.completed_at,
        "expires_at": recording.expires_at,
        "media": recording.media_statuses(),
    }
    before = connection.scalar(
        sa.select(RECORDINGS.c.status).where(
            RECORDINGS.c.recall_recording_id == recording.recall_recording_id
        )
    )
    statement = insert_into(connection, RECORDINGS).values(
        meeting_direct_connect_id=id,
        recall_recording_id=recording.recall_recording_id,
        **values,
    )
    recording_id = connection.scalar(
        statement.on_conflict_do_update(
            index_elements=[RECORDINGS.c.recall_recording_id],
            set_=values,
            where=RECORDINGS.c.meeting_direct_connect_id == id,
        ).returning(RECORDINGS.c.id)
    )
    return before, recording_id


def _to_archive(
    connection: Connection, found: ConnectionState, id: int, *, now: datetime, anew: bool
) -> None:
    """Make recordings due to be stored that are done, with all their media."""
    done = [r.recall_recording_id for r in found.recordings if r.status == "done" and r.is_over]
    untried = sa.true() if anew else RECORDINGS.c.archive_attempts == 0
    connection.execute(
        RECORDINGS.update()
        .where(
            RECORDINGS.c.meeting_direct_connect_id == id,
            RECORDINGS.c.recall_recording_id.in_(done),
            RECORDINGS.c.archive_due_at.is_(None),
            RECORDINGS.c.archived_at.is_(None),
            untried,
        )
        .values(archive_due_at=now, archive_attempts=0)
    )


def _tell(row: AnyRow, standing: Standing, *, archived: bool) -> None:
    where = about(row, recall_id=row.recall_id)
    if standing.state != row.state:
        # Where it is archived, that is the end of the story.
        done = where.debug if archived else where.info
        tell = where.error if standing.state == State.FAILED else done
        tell("recording " + standing.state, reason=standing.reason, error=standing.error)
    elif standing.error:
        tell = where.debug if row.last_error else where.warning  # the first says it all
        tell("not refreshed", error=standing.error, next_look=standing.due_at)
