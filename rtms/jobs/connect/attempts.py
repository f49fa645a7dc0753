"""The tries to connect that did not, and what people did about it, for whoever asks later what
happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.engine import Connection

from models import ATTEMPTS
from rtms.recall.client import Created, CreateOutcome, NotDone, OutcomeUnknown, RateLimited, Refused

RETRIED = "retried"  # a person put the row back

_WORDS: dict[type[CreateOutcome], str] = {
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
    """Record tries, in the transaction that writes down what came of them. One that connected is
    told by its row.

    Args:
        tries: of each the row's id, the outcome, and when the row is tried next.
        now: the moment of the outcome.
    """
    rows = [
        {
            "meeting_direct_connect_id": id,
            "at": now,
            "outcome": _WORDS[type(outcome)],
            "error": outcome.error,
            "next_try_at": next_try_at,
        }
        for id, outcome, next_try_at in tries
        if not isinstance(outcome, Created)
    ]
    if rows:
        connection.execute(ATTEMPTS.insert(), rows)


def record_retry(connection: Connection, id: int, *, now: datetime) -> None:
    """Record that a person put a row back, in the transaction that does.

    Args:
        id: the row.
        now: when it was, and is due.
    """
    connection.execute(
        ATTEMPTS.insert().values(
            meeting_direct_connect_id=id, at=now, outcome=RETRIED, next_try_at=now
        )
    )
