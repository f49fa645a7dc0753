"""Find the meetings and streams of requests.

Statements for use inside a transaction.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, LIVE, OPEN_REQUEST, STREAM_REQUESTS
from rtms.db.database import AnyRow
from rtms.stream_requests.requests import is_of

_R = STREAM_REQUESTS.c


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
        .where(sa.text(f"{STREAM_REQUESTS.name}.{OPEN_REQUEST}"), is_of(meeting_uuid, meeting_id))
        .order_by(_R.id.desc())
        .limit(1)
    ).one_or_none()


def lost_rows_of(meeting_uuids: Collection[str]) -> sa.Select[tuple[int]]:
    """Select the rows of these meetings whose streams Zoom is asked for."""
    return sa.select(_R.replaces).where(
        sa.text(OPEN_REQUEST), _R.meeting_uuid.in_(meeting_uuids), _R.replaces.is_not(None)
    )


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
