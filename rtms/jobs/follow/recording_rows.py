"""Record a direct connect's recordings, enqueue their notifications, and make them due to archive.

Statements for use inside the transaction of a refresh, which has the meeting's row locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, RECORDINGS, Happening, State
from rtms.db.database import AnyRow
from rtms.db.engines import insert_into
from rtms.jobs.archive import eligibility
from rtms.jobs.follow.next_state import NextState
from rtms.jobs.notify import outbox
from rtms.recall.recording_config import keeps_nothing
from rtms.recall.responses import DirectConnectState, RecordingState
from rtms.text import search_text, shown

_RECORDING = {"done": Happening.RECORDING_DONE, "failed": Happening.RECORDING_FAILED}
_TRANSCRIPT = {"done": Happening.TRANSCRIPT_DONE, "failed": Happening.TRANSCRIPT_FAILED}


def record(
    connection: Connection,
    config: Config,
    row: AnyRow,
    found: DirectConnectState,
    new: NextState,
    *,
    now: datetime,
    anew: bool,
) -> None:
    """Record recordings as they are now, enqueue notifications of what changed, and make due what
    is to be archived.

    Args:
        row: the meeting's row before the change; locked.
        found: the direct connect as Recall has it.
        new: the row's new state.
        anew: whether to archive again what was given up, because a person asks.
    """
    to = outbox.listeners(config)
    to_archive: list[int] = []
    has_failed = False
    for recording in found.recordings:
        before = connection.execute(
            sa.select(RECORDINGS).where(
                RECORDINGS.c.recall_recording_id == recording.recall_recording_id
            )
        ).one_or_none()
        recording_id = _upsert(connection, row.id, recording)
        if recording_id is None:  # another meeting's
            continue
        for event in happened(recording, before):
            has_failed = has_failed or event == Happening.RECORDING_FAILED
            outbox.put(connection, to, event, row.id, now=now, recording_id=recording_id)
        is_ready = recording.status == "done" and recording.is_over
        if is_ready and eligibility.is_to_be_stored(recording.media_statuses(), before, anew=anew):
            to_archive.append(recording_id)
    if new.state == State.FAILED != row.state and not has_failed:
        outbox.put(connection, to, Happening.RECORDING_FAILED, row.id, now=now)
    if config.archive_url and not keeps_nothing(config.recording_config):
        eligibility.make_due(connection, to_archive, now)
    _set_topic(connection, row, found)


def happened(recording: RecordingState, before: AnyRow | None) -> Iterator[Happening]:
    """Yield an event for each change of a recording's status, and of its transcript's.

    Args:
        recording: as it is now.
        before: its row before the change; None where it had none.
    """
    if before is None or recording.status != before.status:
        event = _RECORDING.get(recording.status)
        if event is not None:
            yield event
    status = recording.media_statuses().get("transcript")
    if status is not None and (before is None or status != before.media.get("transcript")):
        event = _TRANSCRIPT.get(status)
        if event is not None:
            yield event


def _upsert(connection: Connection, id: int, recording: RecordingState) -> int | None:
    """Insert or update a recording's row. It stores the statuses of media and never a link.

    Returns:
        The row's id; None where the recording is another meeting's.
    """
    values = {
        "status": recording.status,
        "sub_code": recording.sub_code,
        "started_at": recording.started_at,
        "completed_at": recording.completed_at,
        "expires_at": recording.expires_at,
        "media": recording.media_statuses(),
    }
    statement = insert_into(connection, RECORDINGS).values(
        meeting_direct_connect_id=id, recall_recording_id=recording.recall_recording_id, **values
    )
    recording_id: int | None = connection.scalar(
        statement.on_conflict_do_update(
            index_elements=[RECORDINGS.c.recall_recording_id],
            set_=values,
            where=RECORDINGS.c.meeting_direct_connect_id == id,
        ).returning(RECORDINGS.c.id)
    )
    return recording_id


def _set_topic(connection: Connection, row: AnyRow, found: DirectConnectState) -> None:
    """Set the meeting's topic where it has none yet."""
    titles = (shown(recording.title) for recording in found.recordings if recording.title)
    topic = next(filter(None, titles), None)
    if topic is None or row.topic is not None:
        return
    connection.execute(
        CONNECTS.update()
        .where(CONNECTS.c.id == row.id, CONNECTS.c.topic.is_(None))
        .values(topic=topic, topic_search=search_text(topic))
    )
