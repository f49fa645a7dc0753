"""Record the outcome of a try to connect."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE_STATES, Listener, State
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.jobs.connect import attempts
from rtms.jobs.connect.pending import PendingRow
from rtms.jobs.connect.retry_policy import Decision, decide
from rtms.jobs.connect.rivals import live_rival
from rtms.jobs.notify import outbox
from rtms.recall import rate_limit
from rtms.recall.create_outcomes import Created, CreateOutcome, RateLimited
from rtms.recall.idempotency import new_key
from rtms.recall.polling import first_look, first_look_while_live
from rtms.stream_requests import causes

# Built once: building it takes longer than running it.
_LOCK_ROW = sa.select(CONNECTS).where(CONNECTS.c.id == sa.bindparam("id")).with_for_update()


@dataclass(frozen=True, kw_only=True)
class Try:
    """A completed try to connect."""

    leased: PendingRow
    sent_at: datetime
    answered_at: datetime  # or when it was known that there is no answer
    outcome: CreateOutcome


def record(
    database: Database, config: Config, attempt: Try, listeners: tuple[Listener, ...]
) -> tuple[AnyRow, Decision] | None:
    """Record a try's outcome, in one transaction.

    Args:
        listeners: whom to notify of the row's new state, see `outbox.listeners`.

    Returns:
        The row as it was, and the decision about it; None where the lease was lost.

    Raises:
        DatabaseUnavailable: nothing was recorded, as far as the server knows.
    """
    leased, outcome = attempt.leased, attempt.outcome

    def write(connection: Connection) -> tuple[AnyRow, Decision] | None:
        if isinstance(outcome, RateLimited):  # lock the rate limit before any row: no deadlock
            database.serialize_on(connection, rate_limit.CREATE_GATE)
        row = connection.execute(_LOCK_ROW, {"id": leased.id}).one_or_none()
        if row is None or not _may_record(row, leased, outcome):
            return None
        now = clock.now()
        decision = _decide(connection, row, attempt, now)
        change = _change(attempt, decision, row, now)
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == row.id).values(change))
        if not isinstance(outcome, Created):
            next_try = None if row.superseded_by else decision.due_at
            attempts.record(connection, row.id, outcome, next_try_at=next_try, now=now)
        if row.superseded_by is None and decision.state == State.FAILED:
            causes.ask_again(connection, config, [row.id], now=now)
        if row.superseded_by is None and decision.state != State.PENDING:
            outbox.put_state(connection, listeners, row.id, decision.state, now=now)
        return row, decision

    return database.write(write)


def _may_record(row: AnyRow, leased: PendingRow, outcome: CreateOutcome) -> bool:
    """Return whether an outcome still applies to its row. Only the lease's owner records one,
    except that a success counts without the lease: its recording would otherwise be lost."""
    is_current = row.idempotency_key == leased.idempotency_key and row.recall_id is None
    return row.lease_owner == leased.lease_owner or (isinstance(outcome, Created) and is_current)


def _decide(connection: Connection, row: AnyRow, attempt: Try, now: datetime) -> Decision:
    """Decide what happens to a locked row, and record what a 429 tells about the rate limit."""
    outcome, opens_at = attempt.outcome, None
    if isinstance(outcome, RateLimited):
        # Recall counts the wait from its answer, which may be recorded a while later.
        opens_at = rate_limit.refuse_create(
            connection, row.id, retry_after=outcome.retry_after, now=attempt.answered_at
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
    if was_given_up and isinstance(outcome, Created) and live_rival(connection, row):
        # Recall had connected it after all, but another row took its place meanwhile.
        return replace(decision, state=State.ENDED)
    return decision


def _change(attempt: Try, decision: Decision, row: AnyRow, now: datetime) -> dict[str, Any]:
    """Return the columns to change, with their new values."""
    outcome = attempt.outcome
    change: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "due_at": decision.due_at,
        "attempts": row.attempts + decision.is_try,
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
    if row.superseded_by is not None:  # a newer row replaced it meanwhile
        del change["state"], change["reason"], change["due_at"]
        if isinstance(outcome, Created):
            change["due_at"] = first_look(now)
    return change
