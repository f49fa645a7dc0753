"""What Recall's refusals tell about its rate limit, and how many creates it leaves room for.

Recall admits so many requests in any so many seconds, and does not count what it refuses. How many
is not published for Direct Connect, and a customer may be granted more, so it is learned: what was
admitted in the window that ended with a refusal is what the limit admits. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE = 60.0  # seconds; the window of every limit that Recall publishes (Recall: rate limits)
# Seconds. Our clock says when a request left; Recall counts from when it came.
_ON_THE_WAY = 0.03
# Seconds by which a request may come too early all the same: what was busy when the first one left
# may be idle when its place gets free.
_EARLY = 0.2
LOOK_BACK = MINUTE + _EARLY  # seconds of what was sent, to learn from
_SHORTEST_WAIT = 0.5  # seconds
_LONGEST_BELIEF = 300.0  # seconds
# Seconds by which a Retry-After may differ from what the window says: it is rounded up.
_ROUNDED_UP = 1.0
_DOUBT = 0.5
_LOOK_AGAIN = 0.1  # seconds, while one request more than the limit is on its way, or came early


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What Recall is believed to admit: `creates` in any `seconds`."""

    creates: int
    seconds: float
    learned_at: datetime  # when Recall last refused
    confirmed: int = 0  # how often it refused what went beyond this limit


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
        retry_after: seconds, as Recall names them.
        now: when it refused.
        before: what was believed before.

    Returns:
        The limit, and when it has room again. Recall names that moment in whole seconds, rounded
        up; where our own record explains what it said, it tells the moment to the millisecond.
    """
    wait = max(retry_after, _SHORTEST_WAIT)
    seconds, opens_at = min(wait, MINUTE), now + timedelta(seconds=wait)
    leaves_at = _explained_by_a_minute(sent, opens_at, now)
    if leaves_at:
        seconds, opens_at = MINUTE, max(leaves_at, now + timedelta(seconds=_LOOK_AGAIN))
    admits = _sent_within(seconds, sent, now)
    confirmed = 0
    if before and is_believed(before, now):
        if seconds == before.seconds == MINUTE:  # it may have come too early for its place
            admits = min(max(admits, before.creates), _sent_within(LOOK_BACK, sent, now))
        tried_again = now >= before.learned_at + timedelta(seconds=before.seconds)
        confirmed = before.confirmed + tried_again
    limit = Limit(
        creates=max(admits, 1), seconds=seconds, learned_at=now, confirmed=min(confirmed, 30)
    )
    return limit, opens_at


def _explained_by_a_minute(sent: Sequence[Sent], named: datetime, now: datetime) -> datetime | None:
    """When the first create leaves a window of a minute, if that is the moment which Recall named:
    the first that it must still count, or one of which our clock says that it has just left."""
    young = (each for each in sent if each.at > now - timedelta(seconds=MINUTE))
    for first in (next(young, None), *sent[:1]):
        if first:
            leaves_at = first.at + timedelta(seconds=MINUTE + _ON_THE_WAY)
            if -_DOUBT < (named - leaves_at).total_seconds() < _ROUNDED_UP + _DOUBT:
                return leaves_at
    return None


def _sent_within(seconds: float, sent: Sequence[Sent], now: datetime) -> int:
    return sum(each.at > now - timedelta(seconds=seconds) for each in sent)


def room(
    limit: Limit | None, sent: Sequence[Sent], *, now: datetime
) -> tuple[int | None, datetime | None]:
    """How many creates may leave.

    Args:
        limit: what is believed, if anything is.
        sent: the creates of the limit's window that were not refused, oldest first.
        now: the moment.

    Returns:
        How many may leave now, None where nothing says how many; and where it is none, when that
        is worth another look.
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
    # Ask for one more now and then, and more seldom the more often that was refused.
    ask_at = limit.learned_at + timedelta(
        seconds=min(limit.seconds * 2**limit.confirmed, _LONGEST_BELIEF)
    )
    if now >= ask_at:
        return 1, None
    leaves_at = sent[0].at + window(limit)
    return 0, min(leaves_at, ask_at)


def window(limit: Limit) -> timedelta:
    """How far back what was sent counts."""
    return timedelta(seconds=limit.seconds + _ON_THE_WAY)


def is_believed(limit: Limit, now: datetime) -> bool:
    """Whether a limit is fresh enough to bind anybody."""
    return now < limit.learned_at + timedelta(seconds=max(_LONGEST_BELIEF, 2 * limit.seconds))
