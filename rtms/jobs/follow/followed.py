"""The queue of connected rows to ask Recall about."""

from __future__ import annotations

from dataclasses import dataclass

from models import CONNECTS, FOLLOWED
from rtms.queue.leases import Leased, Queue


@dataclass(frozen=True, kw_only=True)
class FollowedRow(Leased):
    """A row to ask Recall about."""

    rtms_stream_id: str
    recall_id: str
    tracking_id: str | None


QUEUE = Queue(
    FollowedRow,
    table=CONNECTS,
    predicate=FOLLOWED,
    due_at=CONNECTS.c.due_at,
    order_by=CONNECTS.c.stopped_at.desc().nulls_last(),  # the latest to stop
    index="ix_followed",
)
