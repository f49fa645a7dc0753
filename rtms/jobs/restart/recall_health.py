"""Whether Recall takes streams at the moment."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import ATTEMPTS, CONNECTS
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.connect.attempts import RETRIED
from rtms.recall import rate_limit
from rtms.recall.client import Recall

_AFTER_A_FAILURE = timedelta(seconds=10)  # without a failure or success: ask Recall itself
_VALID_SECONDS = 2.0  # how long an answer counts, so that many requests cause one question


class RecallHealth:
    """Tells whether Recall takes streams. Threads may share it."""

    def __init__(self, database: Database, recall: Recall) -> None:
        self._database = database
        self._recall = recall
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_healthy = False

    def takes_streams(self) -> bool:
        """Return whether the rate limit admits a create, no recent create failed, and Recall
        answers."""
        with self._lock:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at > _VALID_SECONDS:
                self._is_healthy = self._look()
                self._asked_at = time.monotonic()
            return self._is_healthy

    def _look(self) -> bool:
        with self._database.read() as connection:
            if not _looks_healthy(connection):
                return False
        return self._recall.is_taking_requests()


def _looks_healthy(connection: Connection) -> bool:
    now = clock.now()
    room, _ = rate_limit.peek_room_for_creates(connection, now=now)
    if room == 0:
        return False
    failed_at = connection.scalar(
        sa.select(ATTEMPTS.c.at)
        .where(ATTEMPTS.c.outcome != RETRIED)
        .order_by(ATTEMPTS.c.id.desc())
        .limit(1)
    )
    if failed_at is None or failed_at < now - _AFTER_A_FAILURE:
        return True
    succeeded = sa.exists().where(
        CONNECTS.c.key_used_at >= failed_at, CONNECTS.c.recall_id.is_not(None)
    )
    return bool(connection.scalar(sa.select(succeeded)))
