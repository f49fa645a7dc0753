"""Ask Zoom for streams that were lost or never came.

Statements for use inside the transaction of the cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, FOLLOWED, LIVE, RequestCause
from rtms.stream_requests.requests import open_request
from rtms.stream_requests.rules import cause_of_loss
from rtms.zoom.meanings import MeetingStarted

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


def ask_for_missing(
    connection: Connection, config: Config, meeting: MeetingStarted, *, now: datetime
) -> bool:
    """Open a request for the stream of a meeting that began and has none (START_STREAMS).

    Returns:
        Whether Zoom is asked.
    """
    if config.start_streams == "off" or meeting.meeting_id is None:
        return False
    owners = {meeting.host_id, meeting.account_id}
    if config.start_for and owners.isdisjoint(config.start_for):
        return False
    if _has_rows(connection, meeting.meeting_uuid):
        return False
    wait = config.start_after_seconds if config.start_streams == "missing" else 0.0
    opened = open_request(
        connection,
        cause=RequestCause.NEVER_CAME,
        meeting_id=meeting.meeting_id,
        meeting_uuid=meeting.meeting_uuid,
        account_id=meeting.account_id,
        now=now,
        due_at=now + timedelta(seconds=wait),
    )
    return opened is not None


def _has_rows(connection: Connection, meeting_uuid: str) -> bool:
    """Return whether a meeting has had a stream."""
    kinds = (LIVE, "due_at IS NULL", FOLLOWED)  # one query for each index: together all rows
    return any(
        connection.scalar(
            sa.select(sa.exists().where(CONNECTS.c.meeting_uuid == meeting_uuid, sa.text(kind)))
        )
        for kind in kinds
    )
