"""The history of failed tries to connect, and of retries by a person (`connect_attempts`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from models import ATTEMPTS
from rtms.recall.create_outcomes import CreateOutcome, NotDone, OutcomeUnknown, RateLimited, Refused

RETRIED = "retried"  # by a person

_OUTCOME_NAMES: dict[type[CreateOutcome], str] = {
    Refused: "refused",
    RateLimited: "rate_limited",
    NotDone: "not_done",
    OutcomeUnknown: "unknown",
}


def record(
    connection: Connection,
    id: int,
    outcome: Refused | RateLimited | NotDone | OutcomeUnknown,
    *,
    next_try_at: datetime | None,
    now: datetime,
) -> None:
    """Record a failed try, in the transaction that records its outcome. A successful try is in its
    row.

    Args:
        id: the row's.
        next_try_at: when the row is tried next; None where it is not.
    """
    connection.execute(
        ATTEMPTS.insert().values(
            meeting_direct_connect_id=id,
            at=now,
            outcome=_OUTCOME_NAMES[type(outcome)],
            error=outcome.error,
            next_try_at=next_try_at,
        )
    )


def record_retry(connection: Connection, id: int, *, now: datetime) -> None:
    """Record that a person retried a row, in the transaction that makes it pending.

    Args:
        id: the row's.
        now: when it was retried and becomes due.
    """
    connection.execute(
        ATTEMPTS.insert().values(
            meeting_direct_connect_id=id, at=now, outcome=RETRIED, next_try_at=now
        )
    )
