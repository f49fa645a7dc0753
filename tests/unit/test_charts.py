"""Where the bars stand, what the charts say in words, and the overview's one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rtms.dashboard.overview import charts
from rtms.dashboard.overview.headline import headline_of
from rtms.dashboard.overview.snapshot import OverviewSnapshot
from rtms.dashboard.overview.totals import HOUR, History, Totals, edges
from rtms.dashboard.template_filters.amounts import duration

NOW = datetime(2026, 11, 22, 10, 0, 20, tzinfo=UTC)
FLOOR = charts.TOP + charts.HEIGHT


def hours(*totals: Totals) -> list[tuple[datetime, Totals]]:
    first = datetime(2026, 11, 21, 11, tzinfo=UTC)
    return [(first + n * HOUR, each) for n, each in enumerate(totals)]


# ---- starts by hour


def test_a_stack_stands_on_the_floor_without_gaps_and_failures_on_top() -> None:
    chart = charts.starts(hours(Totals(captured=60, failed=20, skipped=10, waiting=10)))
    assert [bar.kind for bar in chart.bars] == ["captured", "skipped", "waiting", "failed"]
    assert chart.bars[0].y + chart.bars[0].height == FLOOR
    for below, above in zip(chart.bars, chart.bars[1:], strict=False):
        assert above.y + above.height == pytest.approx(below.y)
    assert chart.bars[-1].y == pytest.approx(charts.TOP)  # 100 of 100
    assert chart.bars[-1].height == pytest.approx(charts.HEIGHT * 0.2)


def test_one_failure_among_thousands_is_seen_and_nothing_leaves_the_chart() -> None:
    chart = charts.starts(hours(Totals(captured=9_999, failed=1)))
    captured, failed = chart.bars
    assert failed.height >= 3
    assert captured.height + failed.height <= charts.HEIGHT
    assert failed.y >= charts.TOP


def test_every_hour_has_its_room_and_labels_stay_inside() -> None:
    chart = charts.starts(hours(*[Totals(captured=1)] * 24))
    assert len(chart.bars) == 24
    for number, bar in enumerate(chart.bars):
        assert number * 100 / 24 <= bar.x
        assert bar.x + bar.width <= (number + 1) * 100 / 24
    assert [label.text for label in chart.labels] == [
        "12:00", "15:00", "18:00", "21:00", "00:00", "03:00", "06:00", "09:00",
    ]  # fmt: skip
    assert all(0 <= label.x <= 100 for label in chart.labels)
    assert [label.text for label in chart.labels if not label.is_minor] == [
        "12:00", "18:00", "00:00", "06:00",
    ]  # fmt: skip


def test_hours_without_meetings_have_no_bars_and_say_so() -> None:
    chart = charts.starts(hours(*[Totals()] * 24))
    assert not chart.bars
    assert chart.description == "No meeting began in the last 24 hours."


def test_the_starts_are_told_in_words() -> None:
    chart = charts.starts(hours(Totals(captured=2), Totals(captured=1, failed=3, skipped=1)))
    assert chart.description == (
        "7 meetings began in the last 2 hours: 3 captured, 3 failed, 1 skipped, 0 waiting. "
        "Most began in the hour of 12:00: 5."
    )


@pytest.mark.parametrize(
    ("count", "top"),
    [(0, 1), (1, 1), (2, 2), (7, 8), (9, 10), (11, 20), (24, 30), (99, 100), (100, 100),
     (101, 200), (999, 1000), (1000, 1000), (81_000, 100_000)],
)  # fmt: skip
def test_the_line_at_the_top_is_a_round_number(count: int, top: int) -> None:
    assert charts.round_up(count) == top


# ---- time to connect


def test_connects_are_sorted_into_buckets_with_their_upper_limits() -> None:
    chart = charts.connect_times([0.1, 0.5, 0.51, 60.0, 60.1], window=60)
    counts = dict(chart.rows)
    assert counts["up to 0.5 s"] == 2
    assert counts["0.5 to 1 s"] == 1
    assert counts["30 to 60 s"] == 1
    assert counts["more than 60 s"] == 1
    assert sum(counts.values()) == chart.count == 5
    assert chart.late == 1
    assert [bar.kind for bar in chart.bars] == ["captured", "captured", "captured", "waiting"]


def test_another_window_has_its_own_limit() -> None:
    chart = charts.connect_times([40, 50], window=45)
    assert dict(chart.rows)["30 to 45 s"] == dict(chart.rows)["45 to 60 s"] == 1
    assert chart.late == 1
    within, beyond = chart.bars
    assert within.x + within.width <= chart.window_x <= beyond.x


def test_the_highest_bar_reaches_the_top_and_no_bar_vanishes() -> None:
    chart = charts.connect_times([0.2] * 999 + [3.0], window=60)
    high, low = chart.bars
    assert (high.y, high.height) == (charts.TOP, charts.HEIGHT)
    assert low.height >= 3


def test_half_and_95_of_100_are_named() -> None:
    chart = charts.connect_times([float(n) for n in range(1, 101)], window=60)
    assert (chart.median, chart.slow) == (50, 95)
    assert chart.description == (
        "Of the last 100 connects, half took 50 s or less, and 95% took 95 s or less. "
        "40 took longer than the 60 s that Zoom waits."
    )


def test_no_connects_are_no_chart() -> None:
    chart = charts.connect_times([], window=60)
    assert not chart.bars
    assert chart.median is None
    assert chart.description == "No stream was connected in the last day."


# ---- the moments between which is counted


def test_the_edges_are_the_hours_of_the_clock_and_those_of_the_sums() -> None:
    found = edges(NOW)
    assert found == sorted(found)
    assert found[0] == NOW - timedelta(days=7)
    assert NOW - timedelta(days=1) in found
    assert datetime(2026, 11, 22, 10, tzinfo=UTC) == found[-1]
    assert datetime(2026, 11, 21, 11, tzinfo=UTC) in found
    assert len(found) == 26


# ---- the sentence


def snapshot(
    *,
    reasons: Mapping[str, int] | None = None,
    waiting: int = 0,
    waits: float = 0,
    **values: Any,
) -> OverviewSnapshot:
    oldest = SimpleNamespace(id=1, received_at=NOW - timedelta(seconds=waits))
    history = History(Totals(captured=1), Totals(), Totals(), (), {}, {})
    given: dict[str, Any] = {
        "now": NOW,
        "history": history,
        "live": 12,
        "newest_live": (),
        "waiting": waiting,
        "oldest_waiting": oldest if waiting else None,
        "is_overdue": False,
        "processes": [SimpleNamespace(kind="web", dispatches=True)],
        "gate_closed_until": None,
        "failures": (),
        "reasons": reasons or {},
        "connect_seconds": (),
        "unauthenticated": None,
        "has_any": True,
    }
    return OverviewSnapshot(**{**given, **values})


IDLE = [SimpleNamespace(kind="web", dispatches=False)]
SENTENCES: dict[str, tuple[OverviewSnapshot, str, str]] = {
    "well": (snapshot(), "good", "All is well: 12 meetings live, nothing waiting."),
    "well and busy": (
        snapshot(waiting=2, waits=1),
        "good",
        "All is well: 12 meetings live, 2 meetings being connected.",
    ),
    "one live": (snapshot(live=1), "good", "All is well: 1 meeting live, nothing waiting."),
    "empty": (
        snapshot(live=0, has_any=False),
        "calm",
        "No meetings yet. The first one will appear here.",
    ),
    "wrong credentials": (
        snapshot(unauthenticated=SimpleNamespace(id=7)),
        "bad",
        "Zoom refuses the join signature (stop reason 18): meeting 7 was not recorded, and "
        "others will not be.",
    ),
    "failures of one kind": (
        snapshot(reasons={"window_expired": 3}),
        "bad",
        "3 meetings failed in the last hour: not connected in time.",
    ),
    "failures of several kinds": (
        snapshot(reasons={"refused": 1, "window_expired": 2}),
        "bad",
        "3 meetings failed in the last hour: 2 not connected in time, 1 refused by Recall.",
    ),
    "thousands of failures": (
        snapshot(reasons={"refused": 1_200, "recall_failed": 3}),
        "bad",
        "1,203 meetings failed in the last hour: 1,200 refused by Recall, 3 no recording at "
        "Recall.",
    ),
    "waiting for long": (
        snapshot(waiting=2, waits=12),
        "warn",
        "2 meetings are waiting to be connected, the oldest for 12 s.",
    ),
    "waiting for the gate": (
        snapshot(waiting=1, waits=3, gate_closed_until=NOW + timedelta(seconds=10)),
        "warn",
        "1 meeting is waiting for Recall's rate limit, until 10:00:30 UTC.",
    ),
    "the gate is closed and nothing waits": (
        snapshot(gate_closed_until=NOW + timedelta(seconds=10)),
        "good",
        "All is well: 12 meetings live, nothing waiting.",
    ),
    "nobody connects": (
        snapshot(waiting=1, waits=9, is_overdue=True, processes=IDLE, reasons={"refused": 1}),
        "bad",
        "No process connects streams: 1 meeting is waiting.",
    ),
    "nobody connects, and nothing is due": (
        snapshot(processes=IDLE),
        "good",
        "All is well: 12 meetings live, nothing waiting.",
    ),
}


@pytest.mark.parametrize(("given", "level", "text"), SENTENCES.values(), ids=SENTENCES.keys())
def test_the_sentence(given: OverviewSnapshot, level: str, text: str) -> None:
    verdict = headline_of(given)
    assert (verdict.level, verdict.text) == (level, text)
    assert verdict.sign


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.04, "40 ms"), (0.9996, "1.0 s"), (1.3, "1.3 s"), (9.96, "10 s"), (90, "90 s"),
     (120, "2 min"), (3599, "59 min"), (3600, "1 h"), (11_100, "3 h 5 min"), (86_400, "1 d"),
     (90_000, "1 d 1 h")],
)  # fmt: skip
def test_lengths_of_time_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == duration(timedelta(seconds=seconds)) == text


def test_no_length_of_time_is_a_dash() -> None:
    assert duration(None) == "–"
