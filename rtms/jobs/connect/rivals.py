"""Find the live row that has the place of one that was given up."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, LIVE
from rtms.db.database import AnyRow


def live_rival(connection: Connection, row: AnyRow) -> AnyRow | None:
    """Return the live row beside which a row that was given up must not become live: its `id`, and
    `why` not, as words that follow its name. None where there is none."""
    c = CONNECTS.c
    same_stream = c.rtms_stream_id == row.rtms_stream_id
    # Zoom does not name every user.
    same_user = sa.and_(
        c.meeting_uuid == row.meeting_uuid,
        c.operator_id == row.operator_id,
        c.operator_id.is_not(None),
    )
    # Only RECORD_STREAMS=first gives a meeting a slot.
    same_slot = sa.and_(c.meeting_slot == row.meeting_slot, c.meeting_slot.is_not(None))
    why = sa.case(
        (same_stream, "has the same stream, and a second connect would disconnect it"),
        (same_user, "records a later stream of the same user in this meeting"),
        else_="records the same meeting, and RECORD_STREAMS=first wants one stream of it",
    )
    return connection.execute(
        sa.select(c.id, why.label("why")).where(
            sa.or_(same_stream, same_user, same_slot), sa.text(LIVE)
        )
    ).first()
