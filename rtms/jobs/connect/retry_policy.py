"""The retry policy: decide from a try's outcome what happens to its row. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models import Reason, State
from rtms.backoff import exponential
from rtms.recall.create_outcomes import (
    Created,
    CreateOutcome,
    NotDone,
    OutcomeUnknown,
    RateLimited,
    Refused,
)

_FIRST_WAIT = 0.5  # seconds; doubled with every try
_LONGEST_WAIT = 8.0  # seconds; the pool behind a 507 is refilled within seconds to two minutes
# Seconds before the window closes; more than the dispatcher may delay a job while it is crowded.
_LAST_TRY_LEAD = 2.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do with a row after a try."""

    state: State
    reason: Reason | None = None
    due_at: datetime | None = None
    connect_by: datetime | None = None  # set where the window stays open until the outcome is known
    is_try: bool = True  # whether it counts towards `attempts`
    new_key: bool = False
    error: str | None = None


def decide(
    outcome: CreateOutcome,
    *,
    attempts: int,
    now: datetime,
    connect_by: datetime,
    stopped: bool,
    jitter: float,
    opens_at: datetime | None = None,
) -> Decision:
    """Decide what happens to a row after a try.

    Args:
        outcome: Recall's answer, or that there was none.
        attempts: the tries before this one.
        now: the current time.
        connect_by: when the window closes.
        stopped: whether the stream has stopped meanwhile.
        jitter: from 0 to 1; spreads the tries of many rows.
        opens_at: when Recall's rate limit has room again, after a 429.
    """
    match outcome:
        case Created():
            return Decision(state=State.ENDED if stopped else State.CONNECTED)
        case Refused(error=error):
            return Decision(state=State.FAILED, reason=Reason.REFUSED, new_key=True, error=error)
        case RateLimited(error=error):  # it is tried until its window closes, and at least once
            decision = Decision(state=State.PENDING, due_at=opens_at or now, error=error)
            if stopped:
                decision = _over(error)
            elif attempts and now >= connect_by:
                decision = _expired(error)
            return replace(decision, is_try=False, new_key=True)
        case NotDone(retry_after=seconds, error=error):
            due_at = _next_try(attempts, seconds, now, connect_by, jitter)
            if stopped:
                return _over(error)
            if due_at is None:
                return _expired(error)
            return Decision(state=State.PENDING, due_at=due_at, new_key=True, error=error)
        case OutcomeUnknown(retry_after=seconds, error=error, in_flight=in_flight):
            due_at = _next_try(attempts, seconds, now, connect_by, jitter)
            if due_at is None and in_flight:  # Recall is still working on it: wait for the outcome
                again_at = now + timedelta(seconds=_wait(attempts, jitter))
                return Decision(
                    state=State.PENDING,
                    due_at=again_at,
                    connect_by=again_at + timedelta(seconds=_LAST_TRY_LEAD),
                    error=error,
                )
            if due_at is None:
                return _over(error) if stopped else _expired(error)
            return Decision(state=State.PENDING, due_at=due_at, error=error)


def _next_try(
    attempts: int, retry_after: float | None, now: datetime, connect_by: datetime, jitter: float
) -> datetime | None:
    """Return when to try again; None where the window leaves no time. A wait that would end after
    the window is cut short for a last try."""
    asked_for = now + timedelta(seconds=retry_after or 0.0)
    last = connect_by - timedelta(seconds=_LAST_TRY_LEAD)
    if asked_for < connect_by:
        last = max(last, asked_for)  # obey Recall's Retry-After up to the window's end
    due_at = min(max(now + timedelta(seconds=_wait(attempts, jitter)), asked_for), last)
    return due_at if due_at > now else None


def _wait(attempts: int, jitter: float) -> float:
    """Return the seconds from one try to the next."""
    return exponential(attempts + 1, first=_FIRST_WAIT, longest=_LONGEST_WAIT) * (0.5 + jitter / 2)


def _expired(error: str) -> Decision:
    return Decision(state=State.FAILED, reason=Reason.WINDOW_EXPIRED, error=error)


def _over(error: str) -> Decision:
    return Decision(
        state=State.SKIPPED,
        reason=Reason.STOPPED_FIRST,
        error=f"The stream was over before it was connected. {error}",
    )
