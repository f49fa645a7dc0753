"""Connecting streams: what the dispatcher does with a pending row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE_STATES, Happening, State
from rtms import clock
from rtms.db.database import PATIENCE, AnyRow, Database, DatabaseUnavailable
from rtms.db.group_commit import GroupCommit
from rtms.intake.handlers import new_key
from rtms.jobs.connect import attempts
from rtms.jobs.connect.retry_policy import Decision, decide
from rtms.jobs.follow.schedule import first_look, first_look_while_live
from rtms.jobs.notify import outbox
from rtms.logs import about
from rtms.monitoring.counters import Counts
from rtms.queue import leases
from rtms.queue.leases import Leased
from rtms.recall import rate_limit
from rtms.recall.client import Created, CreateOutcome, RateLimited, Recall
from rtms.zoom.signature import join_signature

CONNECT_LANE = "connect"
_DATABASE_PAUSE = 0.5  # seconds
_SWEEP_EVERY = timedelta(seconds=0.5)

_HAPPENINGS: dict[str, Happening] = {
    State.CONNECTED: Happening.STREAM_CONNECTED,
    State.ENDED: Happening.STREAM_CONNECTED,  # and stopped since
    State.FAILED: Happening.STREAM_FAILED,
}


class ConnectLane:
    """Pending rows, and how they are connected."""

    name = CONNECT_LANE

    def __init__(
        self, database: Database, recall: Recall, config: Config, counts: Counts | None = None
    ) -> None:
        self._database = database
        self._recall = recall
        self._config = config
        self._counts = counts or Counts()
        self._listeners = outbox.listeners(config)
        self._settling = GroupCommit(self._settle_all, patience=PATIENCE)
        self._window = timedelta(seconds=config.connect_window_seconds)
        self._swept_at = datetime.min.replace(tzinfo=UTC)
        self.threads = config.connect_threads

    def next_due(self) -> datetime | None:
        with self._database.read() as connection:
            now = clock.now()
            due = leases.next_pending(connection, now=now, window=self._window)
            if due:
                _, has_room_at = rate_limit.peek_room_for_creates(connection, now=now)
                due = max(due, has_room_at or due)
            return min(filter(None, (due, leases.next_expiry(connection))), default=None)

    def lease(self, limit: int) -> Sequence[Leased]:
        owner = leases.new_owner()
        self._sweep_now_and_then()

        def job(connection: Connection) -> list[Leased]:
            now = clock.now()
            # The gate first: whoever settles a refusal takes it before any row, too.
            room, _ = rate_limit.room_for_creates(self._database, connection, now=now)
            if room == 0:
                return []
            return leases.claim_pending(
                connection,
                limit=limit if room is None else min(limit, room),
                owner=owner,
                now=now,
                seconds=self._config.lease_seconds,
                window=self._window,
            )

        leased = self._database.write(job)
        for taken in leased:
            if taken.taken_over_from and not leases.is_ours(taken.taken_over_from):
                about(taken).warning(
                    "taken over from a process that is gone", of=taken.taken_over_from
                )
        return leased

    def _sweep_now_and_then(self) -> None:
        """Give up the rows that no try can help any more."""
        # Not by the clock's order: it may be set back.
        if timedelta(0) <= clock.now() - self._swept_at < _SWEEP_EVERY:
            return
        self._swept_at = clock.now()
        with self._database.read() as connection:
            if not leases.any_is_over(connection, now=clock.now()):
                return
        for row in self._database.write(self._sweep):
            about(row).error(
                "not connected", state=row.state, reason=row.reason, error=row.last_error
            )

    def _sweep(self, connection: Connection) -> list[AnyRow]:
        now = clock.now()
        over = [
            row
            for give_up in (leases.expire, leases.abandon, leases.overtake)
            for row in give_up(connection, now=now)
        ]
        for row in over:
            self._note(connection, row.id, row.state, now)
        return over

    def hand_back(self, jobs: Sequence[Leased]) -> None:
        self._database.write(lambda connection: leases.hand_back(connection, jobs, now=clock.now()))
        for job in jobs:
            about(job).warning("handed back in flight")

    def work(self, job: Leased) -> None:
        request = self.request(job)
        sent_at = clock.now()
        outcome = self._recall.create_direct_connect(**request)
        is_told = False
        while True:
            try:
                return self._settle(Try(job=job, sent_at=sent_at, outcome=outcome))
            except DatabaseUnavailable as error:
                said = getattr(outcome, "recall_id", None)
                where = about(job, recall_id=said)
                if clock.now() >= job.leased_until:
                    where.error(
                        "the outcome could not be written down; the same request will be repeated "
                        "under its key",
                        error=str(error),
                    )
                    return None
                if not is_told:
                    where.warning("the database is away; trying to write again", error=str(error))
                    is_told = True
                time.sleep(_DATABASE_PAUSE)

    def request(self, job: Leased) -> dict[str, Any]:
        """What to ask Recall for."""
        return {
            "zoom_rtms": {
                "meeting_uuid": job.meeting_uuid,
                "rtms_stream_id": job.rtms_stream_id,
                "server_urls": job.server_urls,
                "signature": join_signature(
                    self._config.zoom_client_id,
                    self._config.zoom_client_secret,
                    meeting_uuid=job.meeting_uuid,
                    rtms_stream_id=job.rtms_stream_id,
                ),
            },
            "recording_config": self._config.recording_config,
            # So that a connection whose answer was lost can still be matched with its row.
            "metadata": {
                "rtms_stream_id": job.rtms_stream_id,
                "meeting_direct_connect_id": str(job.id),
            },
            "idempotency_key": job.idempotency_key,
        }

    def _note(self, connection: Connection, id: int, state: str, now: datetime) -> None:
        """Note that the user's own code is to be told, where it wants to know."""
        event = _HAPPENINGS.get(state)
        if event:
            outbox.put(connection, self._listeners, event, id, now=now)

    def _settle(self, made: Try) -> None:
        """Write down what came of a try, if the row is still ours."""
        job, outcome = made.job, made.outcome
        settled = self._settling.submit(made)
        if settled is None:
            about(job).warning("the lease was lost; the row's new owner repeats the request")
        else:
            row, decision = settled
            after = (clock.now() - row.received_at).total_seconds()
            if isinstance(outcome, Created):
                self._counts.connected(after)
            _tell(about(job), outcome, row, decision, round(after, 3))

    def _settle_all(
        self, gather: Callable[[], Sequence[Try]], give_up_at: float
    ) -> Sequence[tuple[_Judged, Decision] | None]:
        def job(connection: Connection) -> list[tuple[_Judged, Decision] | None]:
            tries = gather()
            if any(isinstance(each.outcome, RateLimited) for each in tries):
                self._database.serialize_on(connection, rate_limit.CREATE_GATE)
            rows = _Rows(connection, [each.job.id for each in tries])
            settled = [self._settle_one(connection, rows, each) for each in tries]
            rows.write()
            attempts.record(
                connection,
                [
                    (made.job.id, made.outcome, None if its[0].superseded_by else its[1].due_at)
                    for made, its in zip(tries, settled, strict=True)
                    if its
                ],
                now=clock.now(),
            )
            return settled

        return self._database.write(job, give_up_at=give_up_at)

    def _settle_one(
        self, connection: Connection, rows: _Rows, made: Try
    ) -> tuple[_Judged, Decision] | None:
        job, outcome = made.job, made.outcome
        row = rows.get(job.id)
        if row is None or not _may_settle(row, job, outcome):
            return None
        now = clock.now()
        opens_at = None
        if isinstance(outcome, RateLimited):
            rows.write()  # what was admitted and what was refused is counted
            opens_at = rate_limit.refuse_create(
                connection, job.id, retry_after=outcome.retry_after, now=now
            )
        decision = decide(
            outcome,
            attempts=row.attempts,
            now=now,
            connect_by=row.connect_by,
            stopped=row.stopped_at is not None,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            opens_at=opens_at,
        )
        was_given_up = row.superseded_by is None and row.state not in LIVE_STATES
        if was_given_up and isinstance(outcome, Created):
            decision = self._revive(connection, row, decision)
        change = _change(made, decision, row.attempts, now)
        if row.superseded_by is not None:  # a newer connection took its place meanwhile
            kept = ("state", "reason", "due_at")
            change = {name: value for name, value in change.items() if name not in kept}
            if isinstance(outcome, Created):
                change["due_at"] = first_look(now)
        rows.change(row, change)
        if row.superseded_by is None and decision.state != State.PENDING:
            self._note(connection, job.id, decision.state, now)
        return row, decision

    def _revive(self, connection: Connection, row: _Judged, decision: Decision) -> Decision:
        """Decide about a row that was given up, and that Recall turns out to have connected: where
        another connection took its place meanwhile, that one is the live one."""
        mine, other = CONNECTS.alias("mine"), CONNECTS.alias("other")
        replaced = connection.scalar(
            sa.select(
                sa.exists().where(
                    mine.c.id == row.id,
                    other.c.id != mine.c.id,
                    other.c.meeting_uuid == mine.c.meeting_uuid,
                    sa.or_(
                        other.c.rtms_stream_id == mine.c.rtms_stream_id,
                        other.c.operator_id == mine.c.operator_id,
                        other.c.meeting_slot == mine.c.meeting_slot,
                    ),
                    other.c.state.in_(LIVE_STATES),
                    other.c.stopped_at.is_(None),
                )
            )
        )
        return replace(decision, state=State.ENDED) if replaced else decision


@dataclass(frozen=True, kw_only=True)
class Try:
    """A request to Recall that has come to an end."""

    job: Leased
    sent_at: datetime
    outcome: CreateOutcome


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What of a row decides what a try's outcome makes of it."""

    id: int
    state: str
    attempts: int
    connect_by: datetime
    stopped_at: datetime | None
    received_at: datetime
    superseded_by: int | None
    last_error: str | None
    lease_owner: str | None
    idempotency_key: str
    recall_id: str | None


_COLUMNS = tuple(field.name for field in fields(_Judged))
# Put together once, as in `rtms.queue.leases`.
_LOCK_ROWS = (
    sa.select(*(CONNECTS.c[name] for name in _COLUMNS))
    .where(CONNECTS.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(CONNECTS.c.id)
    .with_for_update()
)


@lru_cache(maxsize=64)
def _changing(names: tuple[str, ...]) -> sa.Update:
    """The statement that changes these columns of `this_row`."""
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names if name != "this_row"}
    return CONNECTS.update().where(CONNECTS.c.id == sa.bindparam("this_row")).values(values)


class _Rows:
    """Rows that this transaction has locked, in the order of their ids as everybody does, and what
    it makes of them: written together, for one statement costs hardly more than one row of it."""

    def __init__(self, connection: Connection, ids: Sequence[int]) -> None:
        self._connection = connection
        found = connection.execute(_LOCK_ROWS, {"ids": ids})
        self._rows = {row.id: _Judged(**row._mapping) for row in found}
        self._changes: list[dict[str, Any]] = []

    def get(self, id: int) -> _Judged | None:
        """A row as this transaction has left it."""
        return self._rows.get(id)

    def change(self, row: _Judged, values: dict[str, Any]) -> None:
        """Change columns of a row, at the next `write`."""
        known = {name: value for name, value in values.items() if name in _COLUMNS}
        self._rows[row.id] = replace(row, **known)
        self._changes.append({"this_row": row.id, **values})

    def write(self) -> None:
        """Write down what was changed."""
        for names, changes in groupby(self._changes, key=tuple):
            self._connection.execute(_changing(names), list(changes))
        self._changes = []


def _may_settle(row: _Judged, job: Leased, outcome: CreateOutcome) -> bool:
    """Whoever holds the lease says what came of the row. But that Recall made the connection is a
    fact whoever heard of it, and a row that lost it would be a recording that nobody follows."""
    is_its_answer = row.idempotency_key == job.idempotency_key and row.recall_id is None
    return row.lease_owner == job.lease_owner or (isinstance(outcome, Created) and is_its_answer)


def _change(made: Try, decision: Decision, attempts: int, now: datetime) -> dict[str, Any]:
    outcome = made.outcome
    change: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "due_at": decision.due_at,
        "attempts": attempts + decision.is_try,
        "last_error": decision.error,
        "lease_owner": None,
        "leased_until": None,
    }
    if decision.connect_by:
        change["connect_by"] = decision.connect_by
    if decision.new_key:
        change |= {"idempotency_key": new_key(), "key_used_at": None}
    if isinstance(outcome, Created):
        over = decision.state != State.CONNECTED
        change |= {
            "due_at": first_look(now) if over else first_look_while_live(now),
            "recall_id": outcome.recall_id,
            "status": outcome.status,
            "sub_code": outcome.sub_code,
            "connected_at": now,
            "key_used_at": made.sent_at,  # closer to when Recall counted it than its lease
        }
    return change


def _tell(
    where: Any, outcome: CreateOutcome, row: _Judged, decision: Decision, after: float
) -> None:
    tries = row.attempts + decision.is_try
    if isinstance(outcome, Created):
        where.info(
            "connected",
            recall_id=outcome.recall_id,
            status=outcome.status,
            seconds=after,
            tries=tries,
        )
    elif decision.state == State.PENDING:
        # The first is worth a line to everybody; the rest are in connect_attempts.
        tell = where.debug if row.last_error else where.warning
        next_try = None if row.superseded_by else decision.due_at
        tell("not connected yet", tries=tries, next_try=next_try, error=decision.error)
    elif row.state == State.PENDING:
        tell = where.info if decision.state == State.SKIPPED else where.error
        tell(
            "not connected",
            state=decision.state,
            reason=decision.reason,
            tries=tries,
            error=decision.error,
        )
