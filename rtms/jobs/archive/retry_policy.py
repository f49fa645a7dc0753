"""When to try to archive a recording again, by why it was not archived."""

from __future__ import annotations

from datetime import datetime, timedelta

from rtms.backoff import exponential

_FIRST_WAIT = 60.0  # seconds; doubled with every try
_LONGEST_WAIT = 6 * 3600.0  # seconds
_MOST_TRIES = 36  # with those waits, a week
_TOO_LATE = timedelta(minutes=5)  # before the media expire another try would not finish


class NotArchived(Exception):
    """A recording was not archived. The message says why."""

    def __init__(self, message: str, *, for_good: bool = False, passes: bool = True) -> None:
        super().__init__(message)
        self.for_good = for_good  # another try would not help
        self.passes = passes  # False: a person must first fix what the message names


class NothingKept(NotArchived):
    """Recall was told to keep nothing, so there is nothing to store."""


def next_try(
    *, attempts: int, expires_at: datetime | None, now: datetime, passes: bool = True
) -> datetime | None:
    """Return when to try to archive a recording again; None when it was tried long enough.

    Args:
        attempts: the tries so far.
        expires_at: when Recall deletes the media, if known.
        passes: whether the error may pass by itself. What a person has to fix is tried rarely.
    """
    if attempts >= _MOST_TRIES:
        return None
    seconds = exponential(attempts, first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    wait = timedelta(seconds=seconds if passes else _LONGEST_WAIT)
    if expires_at is None:
        return now + wait
    left = expires_at - now
    return now + min(wait, left / 2) if left > _TOO_LATE else None
