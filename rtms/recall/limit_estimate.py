"""Estimate Recall's rate limit from its refusals, and how many creates it leaves room for.

Recall admits a number of requests in a sliding window, and does not count those it refuses. The
number is not published for Direct Connect, and a customer may be granted more, so it is learned: it
is how many were admitted in the window that ended with a refusal. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE = 60.0  # seconds; the window of every limit that Recall publishes (Recall: rate limits)
# Seconds.
_LATENCY = 0.03  # from when a request leaves by our clock to when Recall counts it
_EARLY = 0.2  # how much latency may vary, so that a request arrives before the window has room
LOOK_BACK = MINUTE + _EARLY  # how far back to count creates, to learn from
_SHORTEST_WAIT = 0.5
_LONGEST_TRUST = 300.0  # in a learned limit
_ROUNDED_UP = 1.0  # of Retry-After
_TOLERANCE = 0.5  # of Retry-After against the end of the window
_LOOK_AGAIN = 0.1  # while a request beyond the limit is in flight, or one arrived early


@dataclass(frozen=True, kw_only=True)
class Limit:
    """An estimate of what Recall admits: `creates` in any `seconds`."""

    creates: int
    seconds: float
    learned_at: datetime  # when Recall last refused
    confirmed: int = 0  # how often it refused a create beyond this limit


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A create that Recall has not refused."""

    at: datetime
    admitted: bool  # False: Recall has not answered yet


def learn(
    sent: Sequence[Sent], *, retry_after: float, now: datetime, before: Limit | None
) -> tuple[Limit, datetime]:
    """Learn from a refusal.

    Args:
        sent: the creates of the last `LOOK_BACK` seconds that were not refused, oldest first.
        retry_after: seconds, from Recall's response.
        now: when it refused.
        before: the previous estimate.

    Returns:
        The limit, and when it has room again. Recall rounds that time up to whole seconds; if it
        fits the creates that we sent, theirs is more precise.
    """
    wait = max(retry_after, _SHORTEST_WAIT)
    seconds, opens_at = min(wait, MINUTE), now + timedelta(seconds=wait)
    leaves_at = _end_of_minute(sent, opens_at, now)
    if leaves_at:
        seconds, opens_at = MINUTE, max(leaves_at, now + timedelta(seconds=_LOOK_AGAIN))
    admits = _sent_within(seconds, sent, now)
    confirmed = 0
    if before and is_believed(before, now):
        if seconds == before.seconds == MINUTE:  # it may have arrived early
            admits = min(max(admits, before.creates), _sent_within(LOOK_BACK, sent, now))
        tried_again = now >= before.learned_at + timedelta(seconds=before.seconds)
        confirmed = before.confirmed + tried_again
    limit = Limit(
        creates=max(admits, 1), seconds=seconds, learned_at=now, confirmed=min(confirmed, 30)
    )
    return limit, opens_at


def _end_of_minute(sent: Sequence[Sent], named: datetime, now: datetime) -> datetime | None:
    """Return when the oldest create leaves a window of a minute, if that fits the time that Recall
    named. The oldest is the first within a minute, or one that has just left it by our clock."""
    recent = (each for each in sent if each.at > now - timedelta(seconds=MINUTE))
    for first in (next(recent, None), *sent[:1]):
        if first:
            leaves_at = first.at + timedelta(seconds=MINUTE + _LATENCY)
            difference = (named - leaves_at).total_seconds()
            if -_TOLERANCE < difference < _ROUNDED_UP + _TOLERANCE:
                return leaves_at
    return None


def _sent_within(seconds: float, sent: Sequence[Sent], now: datetime) -> int:
    return sum(each.at > now - timedelta(seconds=seconds) for each in sent)


def room(
    limit: Limit | None, sent: Sequence[Sent], *, now: datetime
) -> tuple[int | None, datetime | None]:
    """Return how many creates may be sent.

    Args:
        limit: the estimate, if there is one.
        sent: the creates of the limit's window that were not refused, oldest first.
        now: the current time.

    Returns:
        How many may be sent now, None where that is not limited; and if it is zero, when to look
        again.
    """
    if limit is None or not is_believed(limit, now):
        return None, None
    if sum(each.admitted for each in sent) > limit.creates:  # Recall admits more than that
        return None, None
    free = limit.creates - len(sent)
    if free > 0:
        return free, None
    if free < 0:
        return 0, now + timedelta(seconds=_LOOK_AGAIN)
    # Try one more now and then, and less often each time that was refused.
    ask_at = limit.learned_at + timedelta(
        seconds=min(limit.seconds * 2**limit.confirmed, _LONGEST_TRUST)
    )
    if now >= ask_at:
        return 1, None
    leaves_at = sent[0].at + window(limit)
    return 0, min(leaves_at, ask_at)


def window(limit: Limit) -> timedelta:
    """Return how long a create counts towards the limit."""
    return timedelta(seconds=limit.seconds + _LATENCY)


def is_believed(limit: Limit, now: datetime) -> bool:
    """Return whether an estimate is recent enough to be obeyed."""
    return now < limit.learned_at + timedelta(seconds=max(_LONGEST_TRUST, 2 * limit.seconds))
