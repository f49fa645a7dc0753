"""Record the outcomes of tries to connect, in groups."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE_STATES, State
from rtms import clock
from rtms.db.database import Database
from rtms.db.engines import PATIENCE
from rtms.db.group_commit import GroupCommit, Ticket
from rtms.jobs.connect import attempts
from rtms.jobs.connect.pending import PendingRow
from rtms.jobs.connect.retry_policy import Decision, decide
from rtms.jobs.notify import outbox
from rtms.recall import rate_limit
from rtms.recall.client import Created, CreateOutcome, RateLimited
from rtms.recall.idempotency import new_key
from rtms.recall.polling import first_look, first_look_while_live


@dataclass(frozen=True, kw_only=True)
class Try:
    """A completed try to connect."""

    leased: PendingRow
    sent_at: datetime
    outcome: CreateOutcome


@dataclass(frozen=True, kw_only=True)
class RowBefore:
    """A locked row's columns from before an outcome is recorded."""

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


class Outcomes:
    """Records the outcomes of tries. Outcomes that arrive together share a transaction."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._listeners = outbox.listeners(config)
        self._writes = GroupCommit(self._record_all, patience=PATIENCE)

    def record(self, attempt: Try) -> tuple[RowBefore, Decision] | None:
        """Record a try's outcome.

        Returns:
            The row as it was, and the decision about it; None where the lease was lost.

        Raises:
            DatabaseUnavailable: nothing was recorded, as far as the server knows.
        """
        return self.enqueue(attempt).result()

    def enqueue(self, attempt: Try) -> Ticket[Try, tuple[RowBefore, Decision] | None]:
        """Put a try in the next group; its ticket waits for what `record` returns."""
        return self._writes.enqueue(attempt)

    def _record_all(
        self, gather: Callable[[], Sequence[Try]], give_up_at: float
    ) -> Sequence[tuple[RowBefore, Decision] | None]:
        def write(connection: Connection) -> list[tuple[RowBefore, Decision] | None]:
            tries = gather()
            if any(isinstance(each.outcome, RateLimited) for each in tries):
                self._database.serialize_on(connection, rate_limit.CREATE_GATE)
            rows = _Rows(connection, [each.leased.id for each in tries])
            recorded = [self._record_one(connection, rows, each) for each in tries]
            rows.write()
            attempts.record(
                connection,
                [
                    (
                        each.leased.id,
                        each.outcome,
                        None if done[0].superseded_by else done[1].due_at,
                    )
                    for each, done in zip(tries, recorded, strict=True)
                    if done
                ],
                now=clock.now(),
            )
            return recorded

        return self._database.write(write, give_up_at=give_up_at)

    def _record_one(
        self, connection: Connection, rows: _Rows, attempt: Try
    ) -> tuple[RowBefore, Decision] | None:
        leased, outcome = attempt.leased, attempt.outcome
        row = rows.get(leased.id)
        if row is None or not _may_record(row, leased, outcome):
            return None
        now = clock.now()
        opens_at = None
        if isinstance(outcome, RateLimited):
            rows.write()  # the rate limit is learned from the rows
            opens_at = rate_limit.refuse_create(
                connection, leased.id, retry_after=outcome.retry_after, now=now
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
        change = _change(attempt, decision, row.attempts, now)
        if row.superseded_by is not None:  # a newer row replaced it meanwhile
            kept = ("state", "reason", "due_at")
            change = {name: value for name, value in change.items() if name not in kept}
            if isinstance(outcome, Created):
                change["due_at"] = first_look(now)
        rows.change(row, change)
        if row.superseded_by is None and decision.state != State.PENDING:
            outbox.put_state(connection, self._listeners, leased.id, decision.state, now=now)
        return row, decision

    def _revive(self, connection: Connection, row: RowBefore, decision: Decision) -> Decision:
        """Decide about a row that was given up but that Recall had connected after all. It is live,
        unless another row replaced it meanwhile."""
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


_COLUMNS = tuple(field.name for field in fields(RowBefore))
# Built once: building it takes longer than running it.
_LOCK_ROWS = (
    sa.select(*(CONNECTS.c[name] for name in _COLUMNS))
    .where(CONNECTS.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(CONNECTS.c.id)
    .with_for_update()
)


@lru_cache(maxsize=64)
def _update_of(names: tuple[str, ...]) -> sa.Update:
    """Return the statement that updates these columns of the row `this_row`."""
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names if name != "this_row"}
    return CONNECTS.update().where(CONNECTS.c.id == sa.bindparam("this_row")).values(values)


class _Rows:
    """The rows that a transaction has locked, in the order of their ids, and their changes, which
    are written together: one statement for many rows costs little more than for one."""

    def __init__(self, connection: Connection, ids: Sequence[int]) -> None:
        self._connection = connection
        found = connection.execute(_LOCK_ROWS, {"ids": ids})
        self._rows = {row.id: RowBefore(**row._mapping) for row in found}
        self._changes: list[dict[str, Any]] = []

    def get(self, id: int) -> RowBefore | None:
        """Return a row with the changes made so far."""
        return self._rows.get(id)

    def change(self, row: RowBefore, values: dict[str, Any]) -> None:
        """Change columns of a row with the next `write`."""
        known = {name: value for name, value in values.items() if name in _COLUMNS}
        self._rows[row.id] = replace(row, **known)
        self._changes.append({"this_row": row.id, **values})

    def write(self) -> None:
        """Write the changes to the database."""
        for names, changes in groupby(self._changes, key=tuple):
            self._connection.execute(_update_of(names), list(changes))
        self._changes = []


def _may_record(row: RowBefore, leased: PendingRow, outcome: CreateOutcome) -> bool:
    """Return whether an outcome still applies to its row. Only the lease's owner records one,
    except that a success counts without the lease: its recording would otherwise be lost."""
    is_current = row.idempotency_key == leased.idempotency_key and row.recall_id is None
    return row.lease_owner == leased.lease_owner or (isinstance(outcome, Created) and is_current)


def _change(attempt: Try, decision: Decision, attempts: int, now: datetime) -> dict[str, Any]:
    outcome = attempt.outcome
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
            "key_used_at": attempt.sent_at,  # closer to when Recall counted it than the lease is
        }
    return change
