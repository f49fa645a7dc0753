"""The history of failed tries to connect, and of retries by a person (`connect_attempts`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.engine import Connection

from models import ATTEMPTS
from rtms.recall.client import Created, CreateOutcome, NotDone, OutcomeUnknown, RateLimited, Refused

RETRIED = "retried"  # by a person

_OUTCOME_NAMES: dict[type[CreateOutcome], str] = {
    Refused: "refused",
    RateLimited: "rate_limited",
    NotDone: "not_done",
    OutcomeUnknown: "unknown",
}


def record(
    connection: Connection,
    tries: Iterable[tuple[int, CreateOutcome, datetime | None]],
    *,
    now: datetime,
) -> None:
    """Record failed tries, in the transaction that records their outcomes. A successful try is in
    its row.

    Args:
        tries: of each the row's id, the outcome, and when the row is tried next.
        now: when the outcomes are recorded.
    """
    rows = [
        {
            "meeting_direct_connect_id": id,
            "at": now,
            "outcome": _OUTCOME_NAMES[type(outcome)],
            "error": outcome.error,
            "next_try_at": next_try_at,
        }
        for id, outcome, next_try_at in tries
        if not isinstance(outcome, Created)
    ]
    if rows:
        connection.execute(ATTEMPTS.insert(), rows)


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
