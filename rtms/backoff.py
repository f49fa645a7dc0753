"""How long to wait before the next try."""

from __future__ import annotations


def exponential(tries: int, *, first: float, longest: float) -> float:
    """Return the seconds to wait after a try that failed: doubled with every one.

    Args:
        tries: how many have failed, at least 1.
        first: seconds after the first.
        longest: seconds at most.
    """
    return min(first * 2.0 ** min(tries - 1, 30), longest)
