"""A job whose rows come from one queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic

from sqlalchemy.engine import Connection

from rtms import clock
from rtms.db.database import Database
from rtms.queue.leases import Queue, R, new_owner
from rtms.queue.paced import Pace


class QueueJob(Generic[R]):
    """Leases rows of a queue and hands them back. A subclass implements `work`.

    Args:
        lease_seconds: how long a lease lasts.
        pace: the pace of requests, where each row makes one to a vendor with a rate limit.
        most: the most rows a lease.
    """

    def __init__(
        self,
        database: Database,
        queue: Queue[R],
        *,
        lease_seconds: float,
        pace: Pace | None = None,
        most: int | None = None,
    ) -> None:
        self.database = database
        self._queue = queue
        self._lease_seconds = lease_seconds
        self._pace = pace
        self._most = most

    def next_due(self) -> datetime | None:
        """Return when a row is next due and the pace allows it."""
        with self.database.read() as connection:
            due = self._queue.next_due(connection)
            opens_at = self._pace.opens_at(connection) if due and self._pace else None
        return max(due, opens_at) if due and opens_at else due

    def lease(self, limit: int) -> Sequence[R]:
        """Lease at most `limit` due rows; none while the pace does not allow it."""
        owner = new_owner()
        limit = min(limit, self._most or limit)

        def claim(connection: Connection) -> list[R]:
            now = clock.now()
            if self._pace:
                self._pace.serialize(connection)
                opens_at = self._pace.opens_at(connection)
                if opens_at and opens_at > now:
                    return []
            rows = self._queue.claim(
                connection, limit=limit, owner=owner, now=now, seconds=self._lease_seconds
            )
            if rows and self._pace:
                self._pace.spend(connection, len(rows), now=now)
            return rows

        return self.database.write(claim)

    def hand_back(self, rows: Sequence[R]) -> None:
        """End the leases now."""
        self.database.write(
            lambda connection: self._queue.hand_back(connection, rows, now=clock.now())
        )
