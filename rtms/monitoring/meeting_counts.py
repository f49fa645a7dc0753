"""Count meetings by state and reason, and find those that failed recently.

States are counted each time from their index alone. Reasons are in the rows, of which there may be
a million, so the counts of a block of ids are cached as long as the index shows that the same rows
of the block failed or were skipped.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import ATTEMPTS, CONNECTS, Reason, State
from rtms.db.database import AnyRow

RECENT = timedelta(hours=1)

_BLOCK = 20_000  # ids
_NEWEST = 200  # how many failed meetings to check for a recent failure

# Every state and reason of a meeting. (States without a reason have an empty one here.)
STATES_AND_REASONS: tuple[tuple[str, str], ...] = (
    *product((State.PENDING, State.CONNECTED, State.ENDED, State.DONE), ("",)),
    *product((State.FAILED,), (Reason.REFUSED, Reason.WINDOW_EXPIRED, Reason.RECALL_FAILED)),
    *product((State.SKIPPED,), (Reason.STOPPED_FIRST, Reason.UNSUPPORTED, Reason.NOT_WANTED)),
)

_WITH_REASON = (State.FAILED, State.SKIPPED)
_BY_STATE = sa.union_all(
    *(
        sa.select(sa.literal(str(state)).label("state"), sa.func.count().label("number"))
        .select_from(CONNECTS)
        .where(CONNECTS.c.state == str(state))
        for state in State
        if state not in _WITH_REASON
    )
)
_BLOCK_OF = (CONNECTS.c.id // sa.bindparam("ids", type_=sa.Integer)).label("block")
# A row that enters or leaves a block changes the block's number or sum.
_MARKS = (
    sa.select(_BLOCK_OF, CONNECTS.c.state, sa.func.count(), sa.func.sum(CONNECTS.c.id))
    .where(CONNECTS.c.state.in_(_WITH_REASON))
    .group_by(sa.text("1"), CONNECTS.c.state)
)
_REASONS = (
    sa.select(CONNECTS.c.state, CONNECTS.c.reason, sa.func.count().label("number"))
    .where(
        CONNECTS.c.state.in_(_WITH_REASON),
        CONNECTS.c.id.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .group_by(CONNECTS.c.state, CONNECTS.c.reason)
)

StateCounts = Counter[tuple[str, str]]
_Marks = frozenset[tuple[Any, ...]]


class MeetingCounter:
    """Counts meetings, with a cache of why they failed or were skipped. Threads may share it.

    Args:
        block: how many ids a block has.
    """

    def __init__(self, block: int = _BLOCK) -> None:
        self._block = block
        self._lock = threading.Lock()
        # By block number; the first was counted longest ago.
        self._blocks: dict[int, tuple[_Marks, StateCounts]] = {}

    def count(self, connection: Connection) -> StateCounts:
        """Return the number of meetings by state and reason. Every process returns the same, except
        that the new reason of an old meeting that fails again may appear minutes later."""
        with self._lock:
            found = Counter({(row.state, ""): row.number for row in connection.execute(_BY_STATE)})
            marks = _by_block(connection.execute(_MARKS, {"ids": self._block}))
            if self._blocks:  # recount one block each time, for meetings that failed again
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks = {
                at: held for at, held in self._blocks.items() if marks.get(at) == held[0]
            }
            for at in sorted(marks.keys() - self._blocks.keys()):
                self._blocks[at] = marks[at], self._reasons(connection, at)
            return sum((held for _, held in self._blocks.values()), found)

    def _reasons(self, connection: Connection, at: int) -> StateCounts:
        first = at * self._block
        rows = connection.execute(_REASONS, {"first": first, "last": first + self._block - 1})
        return Counter({(row.state, row.reason): row.number for row in rows})


def failed_recently(
    connection: Connection, *, now: datetime, columns: Iterable[sa.ColumnElement[Any]]
) -> list[AnyRow]:
    """Return meetings that began more than an hour ago and failed within the last hour, newest
    first: a stream that was connected or stopped within it has no recording, or a try failed within
    it. Only the newest failed meetings are checked.

    Args:
        columns: the columns of `meeting_direct_connects` to read.
    """
    since = now - RECENT
    newest = (
        sa.select(CONNECTS.c.id)
        .where(CONNECTS.c.state == str(State.FAILED))
        .order_by(CONNECTS.c.state.desc(), CONNECTS.c.id.desc())
        .limit(_NEWEST)
        .subquery()
    )
    was_tried = sa.exists().where(
        ATTEMPTS.c.meeting_direct_connect_id == CONNECTS.c.id, ATTEMPTS.c.at > since
    )
    has_stopped = sa.and_(
        CONNECTS.c.reason == str(Reason.RECALL_FAILED),
        sa.or_(CONNECTS.c.stopped_at > since, CONNECTS.c.connected_at > since),
    )
    return list(
        connection.execute(
            sa.select(*columns)
            .where(
                CONNECTS.c.id.in_(sa.select(newest.c.id)),
                CONNECTS.c.received_at <= since,
                sa.or_(has_stopped, was_tried),
            )
            .order_by(CONNECTS.c.id.desc())
        )
    )


def _by_block(rows: Iterable[AnyRow]) -> dict[int, _Marks]:
    marks: dict[int, set[tuple[Any, ...]]] = {}
    for block, *mark in rows:
        marks.setdefault(block, set()).add(tuple(mark))
    return {block: frozenset(each) for block, each in marks.items()}
