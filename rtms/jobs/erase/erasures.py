"""The queue of erasures, and when one is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models import ERASURES, TO_ERASE
from rtms.backoff import exponential
from rtms.queue.leases import Leased, Queue

_FIRST_WAIT = 30.0  # seconds, longer than the archive takes to notice; doubled with every try
_LONGEST_WAIT = 3600.0  # seconds
GIVE_UP_AFTER = timedelta(days=10)  # Zoom's rules: delete within ten days


@dataclass(frozen=True, kw_only=True)
class ErasureToDo(Leased):
    """An erasure to do."""

    zoom_user_id: str
    requested_at: datetime
    attempts: int
    counts: dict[str, int]


QUEUE = Queue(
    ErasureToDo,
    table=ERASURES,
    predicate=TO_ERASE,
    due_at=ERASURES.c.due_at,
    order_by=ERASURES.c.due_at,
    index="ix_erasures_due",
)


def next_try(*, attempts: int, requested_at: datetime, now: datetime) -> datetime | None:
    """Return when to try an erasure again; None once it was tried for ten days."""
    wait = exponential(attempts, first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    due_at = now + timedelta(seconds=wait)
    return due_at if due_at <= requested_at + GIVE_UP_AFTER else None
