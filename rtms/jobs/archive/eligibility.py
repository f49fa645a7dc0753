"""Which recordings are to be archived (ARCHIVE_URL), and the queue of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import RECORDINGS, TO_ARCHIVE
from rtms.db.database import AnyRow
from rtms.queue.leases import Leased, Queue


@dataclass(frozen=True, kw_only=True)
class RecordingToArchive(Leased):
    """A recording to archive."""

    meeting_direct_connect_id: int
    recall_recording_id: str
    expires_at: datetime | None
    archive_attempts: int


QUEUE = Queue(
    RecordingToArchive,
    table=RECORDINGS,
    predicate=TO_ARCHIVE,
    due_at=RECORDINGS.c.archive_due_at,
    order_by=RECORDINGS.c.expires_at.nulls_last(),  # the next to expire
    index="ix_recordings_archive",
)

_NO_FILE = "meeting_metadata"  # it is part of Recall's answer


def done_kinds(media: Mapping[str, str]) -> set[str]:
    """Return the kinds of media that are done and have files.

    Args:
        media: kind → status.
    """
    return {kind for kind, status in media.items() if status == "done" and kind != _NO_FILE}


def is_to_be_stored(media: Mapping[str, str], before: AnyRow | None, *, anew: bool) -> bool:
    """Return whether a recording that is over has media to archive.

    Args:
        media: kind → status, as Recall has them now.
        before: the recording's row before the change; None where it had none.
        anew: whether to try again what was given up.
    """
    if before is None:
        return True
    news = done_kinds(media) - done_kinds(before.media)
    if before.archived_at is None:
        return anew or bool(news) or before.archive_attempts == 0
    if before.archived_media is None:  # archived by an older version, which stored all there was
        return bool(news)
    if news & before.media.keys():  # it existed and was made again
        return True
    missing = done_kinds(media) - set(before.archived_media)
    return bool(missing) and (anew or bool(news) or before.archive_error is None)


def make_due(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Make recordings due to be archived, unless they already are.

    Args:
        ids: the ids of their rows.
    """
    connection.execute(
        RECORDINGS.update()
        .where(RECORDINGS.c.id.in_(ids), RECORDINGS.c.archive_due_at.is_(None))
        .values(archive_due_at=now, archive_attempts=0)
    )


def is_to_be_kept(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition for recordings that are done, still at Recall, and never tried."""
    return sa.and_(
        RECORDINGS.c.status == "done",
        RECORDINGS.c.archived_at.is_(None),
        RECORDINGS.c.archive_attempts == 0,
        sa.or_(RECORDINGS.c.expires_at.is_(None), RECORDINGS.c.expires_at > now),
    )


def backfill(connection: Connection, now: datetime) -> None:
    """Make due the recordings that were done while ARCHIVE_URL was not set."""
    connection.execute(
        RECORDINGS.update()
        .where(RECORDINGS.c.archive_due_at.is_(None), is_to_be_kept(now))
        .values(archive_due_at=now)
    )
