"""Statistics of samples. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

PERCENTILES = (0, 25, 50, 75, 90, 99, 100)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` of all do not exceed (nearest rank).

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples, so no percentile")
    rank = max(1, math.ceil(len(samples) * percent / 100))
    return sorted(samples)[rank - 1]


def median(samples: Sequence[float]) -> float:
    """Return the median: the middle one, or the mean of the two in the middle."""
    return statistics.median(samples)


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return the count and the percentiles by name: count, p0, p50 and so on."""
    if not samples:
        return {"count": 0}
    named = {f"p{percent}": percentile(samples, percent) for percent in PERCENTILES}
    return {"count": len(samples), **named}


def steady_rate(moments: Sequence[float], first: float = 0.3, last: float = 0.8) -> float:
    """Return the events per second in the middle of a run: between these shares of all events, when
    every worker has started and none has run out of work.

    Raises:
        ValueError: there are too few events.
    """
    ordered = sorted(moments)
    begin, end = int(len(ordered) * first), int(len(ordered) * last)
    if end - begin < 2 or ordered[end] <= ordered[begin]:
        raise ValueError(f"{len(ordered)} moments are too few for a rate")
    return (end - begin) / (ordered[end] - ordered[begin])
