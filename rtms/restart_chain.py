"""Reads the rows of a meeting whose stream was started again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS
from rtms.stream_gap import ChainRow

_ID = sa.bindparam("id", type_=sa.BigInteger)
_OLDER = sa.select(_ID.label("id")).cte("older", recursive=True)
_OLDER = _OLDER.union(sa.select(CONNECTS.c.id).where(CONNECTS.c.restarted_as == _OLDER.c.id))
_NEWER = sa.select(_ID.label("id")).cte("newer", recursive=True)
_NEWER = _NEWER.union(
    sa.select(CONNECTS.c.restarted_as).where(
        CONNECTS.c.id == _NEWER.c.id, CONNECTS.c.restarted_as.is_not(None)
    )
)
_COLUMNS = [CONNECTS.c[name] for name in ("id", "state", "event_ts", "connected_at", "stopped_at")]
# Built once: building it takes longer than running it.
CHAIN = (
    sa.select(*_COLUMNS)
    .where(CONNECTS.c.id.in_(sa.union(sa.select(_OLDER.c.id), sa.select(_NEWER.c.id))))
    .order_by(CONNECTS.c.id)
)


def read_chain(connection: Connection, id: int) -> list[ChainRow]:
    """Return the rows that are one meeting with this one, oldest first: usually it alone.

    Args:
        id: the row of `meeting_direct_connects`.
    """
    return [ChainRow(**row._mapping) for row in connection.execute(CHAIN, {"id": id})]


def read_restart_of(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return the row that each of these rows goes on from; without those that go on from none."""
    rows = connection.execute(
        sa.select(CONNECTS.c.restarted_as, CONNECTS.c.id)
        .where(CONNECTS.c.restarted_as.in_(ids))
        .order_by(CONNECTS.c.id)
    )
    return {row.restarted_as: row.id for row in rows}
