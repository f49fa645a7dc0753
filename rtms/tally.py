"""How many meetings there are by state and reason, without counting a million of them each time.

Meetings are counted in blocks of ids that follow each other. What a block held when nothing in it
was under way any more is remembered. Counted anew are the blocks in which something is or was under
way, the newest and the oldest, and each time a few of the others: people retry and delete.
"""

from __future__ import annotations

import threading
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, Reason, State

_BLOCK = 20_000  # ids
_AGAIN = 2  # blocks of the others each time

# Whatever a meeting may come to. (States without a reason have an empty one here.)
STANDINGS: tuple[tuple[str, str], ...] = (
    *((state, "") for state in (State.PENDING, State.CONNECTED, State.ENDED, State.DONE)),
    *(
        (State.FAILED, reason)
        for reason in (Reason.REFUSED, Reason.WINDOW_EXPIRED, Reason.RECALL_FAILED)
    ),
    *(
        (State.SKIPPED, reason)
        for reason in (Reason.STOPPED_FIRST, Reason.UNSUPPORTED, Reason.NOT_WANTED)
    ),
)

_IN_BLOCK = CONNECTS.c.id.between(sa.bindparam("first"), sa.bindparam("last"))
_WITH_REASON = (State.FAILED, State.SKIPPED)
_WITHOUT_REASON = tuple(state for state in State if state not in _WITH_REASON)
# The index over states and ids answers the first alone; reasons are in the rows, which are few.
_COUNT_BLOCK = sa.union_all(
    sa.select(CONNECTS.c.state, sa.literal("").label("reason"), sa.func.count().label("number"))
    .where(CONNECTS.c.state.in_(_WITHOUT_REASON), _IN_BLOCK)
    .group_by(CONNECTS.c.state),
    sa.select(CONNECTS.c.state, CONNECTS.c.reason, sa.func.count())
    .where(CONNECTS.c.state.in_(_WITH_REASON), _IN_BLOCK)
    .group_by(CONNECTS.c.state, CONNECTS.c.reason),
)
_BLOCK_OF = (CONNECTS.c.id // sa.bindparam("ids", type_=sa.Integer)).label("block")
# Written out, not bound: neither engine uses a partial index for a value it does not see.
_UNDER_WAY = sa.union(
    sa.select(_BLOCK_OF).where(sa.text("state = 'pending'")),
    sa.select(_BLOCK_OF).where(sa.text("state <> 'pending' AND due_at IS NOT NULL")),
)
_ENDS = sa.select(
    sa.select(sa.func.min(CONNECTS.c.id)).scalar_subquery(),
    sa.select(sa.func.max(CONNECTS.c.id)).scalar_subquery(),
)

Standings = Counter[tuple[str, str]]


class Tally:
    """Counts meetings, and remembers. Threads may share it.

    Args:
        block: how many ids a block has.
    """

    def __init__(self, block: int = _BLOCK) -> None:
        self._block = block
        self._lock = threading.Lock()
        self._blocks: dict[int, Standings] = {}  # the longest ago counted first
        self._under_way: set[int] = set()
        self._newest = 0

    def count(self, connection: Connection) -> Standings:
        """How many meetings there are, by state and reason. Exact for all that the server does;
        what people change in old meetings is seen some minutes later."""
        with self._lock:
            lowest, highest = connection.execute(_ENDS).one()
            if lowest is None:
                self._blocks.clear()
                return Counter()
            under_way = {row.block for row in connection.execute(_UNDER_WAY, {"ids": self._block})}
            blocks = range(lowest // self._block, highest // self._block + 1)
            self._blocks = {at: held for at, held in self._blocks.items() if at in blocks}
            anew = {at for at in blocks if at not in self._blocks or at >= self._newest}
            anew |= {blocks[0], *under_way, *self._under_way, *list(self._blocks)[:_AGAIN]}
            for at in sorted(anew.intersection(blocks)):
                self._blocks.pop(at, None)  # and last among them when it comes back
                self._blocks[at] = self._count_block(connection, at)
            self._under_way, self._newest = under_way, blocks[-1]
            return sum(self._blocks.values(), Counter())

    def _count_block(self, connection: Connection, at: int) -> Standings:
        first = at * self._block
        rows = connection.execute(_COUNT_BLOCK, {"first": first, "last": first + self._block - 1})
        return Counter({(row.state, row.reason): row.number for row in rows})
