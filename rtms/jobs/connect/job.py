"""The job that connects pending streams through Recall."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from config import Config
from models import State
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.connect import outcomes, pending
from rtms.jobs.connect.outcomes import Try
from rtms.jobs.connect.pending import QUEUE, PendingRow
from rtms.jobs.connect.retry_policy import Decision
from rtms.jobs.names import JobName
from rtms.jobs.notify import outbox
from rtms.logs import about
from rtms.monitoring.counters import Counts
from rtms.queue.leases import is_ours, new_owner
from rtms.recall import rate_limit
from rtms.recall.client import Recall
from rtms.recall.create_outcomes import Created, CreateOutcome
from rtms.restart_chain import read_chain
from rtms.stream_gap import restarts
from rtms.stream_requests import causes
from rtms.zoom.signature import join_signature

_DATABASE_PAUSE = 0.5  # seconds
_RECORDED_AT_ONCE = 3  # outcomes; the pool's other connections are for deliveries and jobs
_EXPIRE_EVERY = timedelta(seconds=0.5)


class ConnectJob:
    """Connects pending rows."""

    name = JobName.CONNECT

    def __init__(
        self, database: Database, recall: Recall, config: Config, counts: Counts | None = None
    ) -> None:
        self._database = database
        self._recall = recall
        self._config = config
        self._counts = counts or Counts()
        self._listeners = outbox.listeners(config)
        self._window = timedelta(seconds=config.connect_window_seconds)
        self._expired_at = datetime.min.replace(tzinfo=UTC)
        self._room_to_record = threading.BoundedSemaphore(_RECORDED_AT_ONCE)
        self.threads = config.connect_threads

    def next_due(self) -> datetime | None:
        with self._database.read() as connection:
            now = clock.now()
            due = pending.next_due(connection, now=now, window=self._window)
            if due:
                _, has_room_at = rate_limit.peek_room_for_creates(connection, now=now)
                due = max(due, has_room_at or due)
            return min(filter(None, (due, pending.next_expiry(connection))), default=None)

    def lease(self, limit: int) -> Sequence[PendingRow]:
        owner = new_owner()
        self._give_up_hopeless()

        def claim(connection: Connection) -> list[PendingRow]:
            now = clock.now()
            # Lock the rate limit before any row, as recording a 429 does: no deadlock.
            room, _ = rate_limit.room_for_creates(self._database, connection, now=now)
            if room == 0:
                return []
            return pending.claim(
                connection,
                limit=limit if room is None else min(limit, room),
                owner=owner,
                now=now,
                seconds=self._config.lease_seconds,
                window=self._window,
            )

        leased = self._database.write(claim)
        for taken in leased:
            if taken.taken_over_from and not is_ours(taken.taken_over_from):
                about(taken).warning(
                    "taken over from a process that is gone", of=taken.taken_over_from
                )
        return leased

    def _give_up_hopeless(self) -> None:
        """Give up the rows that can no longer be connected, at most every half second."""
        # A negative difference means that the clock was set back.
        if timedelta(0) <= clock.now() - self._expired_at < _EXPIRE_EVERY:
            return
        self._expired_at = clock.now()
        with self._database.read() as connection:
            if not pending.any_hopeless(connection, now=clock.now()):
                return
        for row in self._database.write(self._give_up):
            about(row).error(
                "not connected", state=row.state, reason=row.reason, error=row.last_error
            )

    def _give_up(self, connection: Connection) -> list[AnyRow]:
        now = clock.now()
        given_up = pending.give_up(connection, now=now)
        for row in given_up:
            outbox.put_state(connection, self._listeners, row.id, row.state, now=now)
        causes.ask_again(connection, self._config, [row.id for row in given_up], now=now)
        return given_up

    def hand_back(self, rows: Sequence[PendingRow]) -> None:
        self._database.write(lambda connection: QUEUE.hand_back(connection, rows, now=clock.now()))
        for row in rows:
            about(row).warning("handed back in flight")

    def work(self, row: PendingRow) -> None:
        request = self.request(row)
        sent_at = clock.now()
        outcome = self._recall.create_direct_connect(**request)
        attempt = Try(leased=row, sent_at=sent_at, answered_at=clock.now(), outcome=outcome)
        is_logged = False
        while True:
            try:
                return self._record(attempt)
            except DatabaseUnavailable as error:
                where = about(row, recall_id=getattr(outcome, "recall_id", None))
                if clock.now() >= row.leased_until:
                    where.error(
                        "the outcome could not be recorded; the same request will be repeated "
                        "under its key",
                        error=str(error),
                    )
                    return None
                if not is_logged:
                    where.warning(
                        "the database is unreachable; trying to record the outcome again",
                        error=str(error),
                    )
                    is_logged = True
                time.sleep(_DATABASE_PAUSE)

    def request(self, row: PendingRow) -> dict[str, Any]:
        """Return the arguments of the create request."""
        return {
            "zoom_rtms": {
                "meeting_uuid": row.meeting_uuid,
                "rtms_stream_id": row.rtms_stream_id,
                "server_urls": row.server_urls,
                "signature": join_signature(
                    self._config.zoom_client_id,
                    self._config.zoom_client_secret,
                    meeting_uuid=row.meeting_uuid,
                    rtms_stream_id=row.rtms_stream_id,
                ),
            },
            "recording_config": self._config.recording_config,
            # Identifies the row of a direct connect whose response was lost.
            "metadata": {
                "rtms_stream_id": row.rtms_stream_id,
                "meeting_direct_connect_id": str(row.id),
            },
            "idempotency_key": row.idempotency_key,
        }

    def _record(self, attempt: Try) -> None:
        """Record a try's outcome, if this process still has the lease."""
        leased, outcome = attempt.leased, attempt.outcome
        with self._room_to_record:
            restart = self._restart(attempt)
            recorded = outcomes.record(self._database, self._config, attempt, self._listeners)
        if recorded is None:
            about(leased).warning("the lease was lost; the row's new owner repeats the request")
        else:
            row, decision = recorded
            seconds = (clock.now() - row.received_at).total_seconds()
            if isinstance(outcome, Created):
                self._counts.connected(seconds)
            if restart.get("gap_seconds") is not None:
                self._counts.gap(restart["gap_seconds"])
            _log(about(leased, **restart), outcome, row, decision, round(seconds, 3))

    def _restart(self, attempt: Try) -> dict[str, Any]:
        """Return what the log says of a connected stream that was started in place of a lost one.
        Without Zoom's API there is none, so the usual connect does not ask the database."""
        if not (self._config.zoom_s2s_client_id and isinstance(attempt.outcome, Created)):
            return {}
        with self._database.read() as connection:
            chain = read_chain(connection, attempt.leased.id)
        found = restarts(
            [
                replace(row, connected_at=attempt.answered_at)
                if row.id == attempt.leased.id
                else row
                for row in chain
            ],
            attempt.leased.id,
        )
        if found.restart_of is None:
            return {}
        return {"restart_of": found.restart_of, "gap_seconds": found.gap_seconds}


def _log(
    where: Any, outcome: CreateOutcome, row: AnyRow, decision: Decision, seconds: float
) -> None:
    tries = row.attempts + decision.is_try
    if isinstance(outcome, Created):
        where.info(
            "connected",
            recall_id=outcome.recall_id,
            status=outcome.status,
            seconds=seconds,
            tries=tries,
        )
    elif decision.state == State.PENDING:
        # Warn once; connect_attempts has every try.
        write = where.debug if row.last_error else where.warning
        next_try = None if row.superseded_by else decision.due_at
        write("not connected yet", tries=tries, next_try=next_try, error=decision.error)
    elif row.state == State.PENDING:
        write = where.info if decision.state == State.SKIPPED else where.error
        write(
            "not connected",
            state=decision.state,
            reason=decision.reason,
            tries=tries,
            error=decision.error,
        )
