"""The layout of the charts. Pure.

Horizontal positions are in percent of the width and heights in pixels, so that a chart fills its
place and its text keeps its size. Classes inside `.chart`: the outcomes (captured, failed, skipped,
waiting), axis, base, value, window, minor (labels that a small screen hides).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from rtms.dashboard.overview.totals import Totals
from rtms.dashboard.template_filters.amounts import duration

HEIGHT = 150.0  # pixels, of the highest bar
TOP = 26.0  # pixels above it, for labels
_LEAST = 3.0  # pixels: one failure among thousands must be visible
_STACK = ("captured", "skipped", "waiting", "failed")  # from the bottom: failures are on top
_FILL = 0.72  # the part of its slot that a bar fills
_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60)  # seconds


@dataclass(frozen=True)
class Bar:
    """A rectangle: x and width in percent, y and height in pixels."""

    x: float
    width: float
    y: float
    height: float
    kind: str
    count: int


@dataclass(frozen=True)
class Label:
    """A text below the axis, or above a bar."""

    x: float
    text: str
    y: float = 0.0
    anchor: str = "middle"
    is_minor: bool = False


@dataclass(frozen=True)
class Starts:
    """Meetings that began in each hour, stacked by outcome."""

    bars: Sequence[Bar]
    labels: Sequence[Label]
    top: int  # the value of the line at the top
    rows: Sequence[tuple[datetime, Totals]]
    total: Totals

    @property
    def description(self) -> str:
        """A description of the chart for screen readers."""
        if not self.total.started:
            return "No meeting began in the last 24 hours."
        busiest = max(self.rows, key=lambda row: row[1].started)
        return (
            f"{self.total.started:,} meetings began in the last {len(self.rows)} hours: "
            f"{self.total.captured:,} captured, {self.total.failed:,} failed, "
            f"{self.total.skipped:,} skipped, {self.total.waiting:,} waiting. "
            f"Most began in the hour of {busiest[0]:%H:%M}: {busiest[1].started:,}."
        )


@dataclass(frozen=True)
class ConnectTimes:
    """A histogram of the times to connect, with the time that Zoom waits."""

    bars: Sequence[Bar]
    values: Sequence[Label]
    labels: Sequence[Label]
    window_x: float  # percent
    rows: Sequence[tuple[str, int]]
    count: int
    median: float | None
    slow: float | None  # the 95th percentile, in seconds
    late: int  # connects that took longer than the window
    window: float  # seconds

    @property
    def description(self) -> str:
        """A description of the chart for screen readers."""
        if not self.count:
            return "No stream was connected in the last day."
        return (
            f"Of the last {self.count:,} connects, half took {duration(self.median)} or less, and "
            f"95% took {duration(self.slow)} or less. {self.late:,} took longer than the "
            f"{duration(self.window)} that Zoom waits."
        )


def starts(hours: Sequence[tuple[datetime, Totals]]) -> Starts:
    """Lay out a stack of bars for each hour.

    Args:
        hours: the beginning of each hour with the outcomes of its meetings, oldest first.
    """
    top = round_up(max((totals.started for _, totals in hours), default=0))
    room = 100 / max(len(hours), 1)
    bars: list[Bar] = []
    labels: list[Label] = []
    for number, (hour, totals) in enumerate(hours):
        counts = [(kind, getattr(totals, kind)) for kind in _STACK]
        y = TOP + HEIGHT
        for kind, height in _heights(counts, top):
            y -= height
            x, width = room * (number + (1 - _FILL) / 2), room * _FILL
            bars.append(Bar(x, width, y, height, kind, getattr(totals, kind)))
        if hour.hour % 3 == 0:
            anchor = "start" if number < 1 else "end" if number > len(hours) - 2 else "middle"
            x = room * (number + {"start": 0, "middle": 0.5, "end": 1}[anchor])
            labels.append(Label(x, f"{hour:%H:%M}", 0, anchor, hour.hour % 6 != 0))
    total = sum((totals for _, totals in hours), Totals())
    return Starts(bars, labels, top, hours, total)


def connect_times(seconds: Sequence[float], *, window: float) -> ConnectTimes:
    """Lay out the histogram.

    Args:
        seconds: how long each connect took.
        window: how long Zoom waits, in seconds.
    """
    limits = sorted({*_BUCKETS, window})
    counts = [0] * (len(limits) + 1)
    for each in seconds:
        counts[bisect.bisect_left(limits, each)] += 1
    room = 100 / len(counts)
    most = max(counts) or 1
    bars, values = [], []
    for number, count in enumerate(counts):
        if not count:
            continue
        height = max(HEIGHT * count / most, _LEAST)
        kind = "captured" if number <= limits.index(window) else "waiting"
        x, width = room * (number + (1 - _FILL) / 2), room * _FILL
        bars.append(Bar(x, width, TOP + HEIGHT - height, height, kind, count))
        values.append(Label(room * (number + 0.5), f"{count:,}", TOP + HEIGHT - height - 6))
    ordered = sorted(seconds)
    return ConnectTimes(
        bars=bars,
        values=values,
        labels=[
            Label(room * (n + 1), f"{limit:g}{' s' if limit == limits[-1] else ''}")
            for n, limit in enumerate(limits)
        ],
        window_x=room * (limits.index(window) + 1),
        rows=list(zip(_spans(limits), counts, strict=True)),
        count=len(ordered),
        median=share(ordered, 0.5),
        slow=share(ordered, 0.95),
        late=sum(counts[limits.index(window) + 1 :]),
        window=window,
    )


def round_up(count: int) -> int:
    """Return the next round number, for the line at the top: 1, 2, 3, 4, 5, 6, 8, 10, 20, ..."""
    if count <= 1:
        return 1
    power: int = 10 ** int(math.log10(count))
    return next(n * power for n in (1, 2, 3, 4, 5, 6, 8, 10) if n * power >= count)


def share(ordered: Sequence[float], part: float) -> float | None:
    """Return the value that a part of the values does not exceed; None if there are none."""
    if not ordered:
        return None
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]


def _heights(counts: Sequence[tuple[str, int]], top: int) -> list[tuple[str, float]]:
    """Return the heights of a stack's parts. Small ones are drawn higher than they are, at the
    expense of the largest."""
    heights = {kind: max(HEIGHT * count / top, _LEAST) for kind, count in counts if count}
    over = sum(heights.values()) - HEIGHT
    if over > 0:
        largest = max(heights, key=lambda kind: heights[kind])
        heights[largest] -= over
    return list(heights.items())


def _spans(limits: Sequence[float]) -> list[str]:
    between = [f"{low:g} to {high:g} s" for low, high in pairwise(limits)]
    return [f"up to {limits[0]:g} s", *between, f"more than {limits[-1]:g} s"]
