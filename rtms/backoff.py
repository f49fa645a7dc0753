"""Exponential backoff."""

from __future__ import annotations


def exponential(tries: int, *, first: float, longest: float) -> float:
    """Return the seconds to wait after a failed try. They double with each failure.

    Args:
        tries: the number of failed tries, at least 1.
        first: seconds after the first failure.
        longest: maximum number of seconds.
    """
    return min(first * 2.0 ** min(tries - 1, 30), longest)
