"""The benchmark's pure parts: what it makes of samples, its table, and its stand-in for Recall."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import deliveries
from bench.ledger import connected, duplicates, lost
from bench.recall import Creates, Entry
from bench.report import Figure, Goal, number, show, write
from bench.samples import median, percentile, spread, steady_rate
from rtms.zoom import signature
from sandbox.demo import SECRETS


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_a_sample(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_a_percentile_of_one_sample() -> None:
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7.0


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_spread_names_what_it_counts() -> None:
    assert spread([]) == {"count": 0}
    assert spread([1.0, 2.0]) | {"count": 2, "p0": 1.0, "p100": 2.0} == spread([1.0, 2.0])


def test_a_median_is_not_moved_by_one_bad_round() -> None:
    assert median([0.5, 0.51, 9.0]) == 0.51


def test_a_steady_rate_leaves_out_the_start_and_the_end() -> None:
    start = [0.0, 3.0, 5.0]
    steady = [6 + n / 10 for n in range(100)]
    end = [20.0, 25.0]
    assert steady_rate([*end, *steady, *start]) == pytest.approx(10.0)


def test_a_rate_needs_enough_moments() -> None:
    with pytest.raises(ValueError, match="too few"):
        steady_rate([1.0, 2.0])


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal("≥", 0.5), 0.5, True),
        (Goal("≥", 0.5), 0.49, False),
        (Goal("≤", 50), 50, True),
        (Goal("≤", 50), 50.1, False),
        (Goal("=", 0), 0, True),
        (Goal("=", 0), 1, False),
    ],
)
def test_goals(goal: Goal, value: float, reached: bool) -> None:
    assert goal.reached(value) is reached


def figure(value: float | None, goal: Goal | None) -> Figure:
    return Figure(scenario="ack", engine="sqlite", figure="ratio", value=value, goal=goal)


def test_what_was_not_measured_reached_nothing() -> None:
    assert figure(None, Goal("≥", 0.5)).reached is False
    assert figure(None, None).reached is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0, "0"),
        (0.4567, "0.457"),
        (45.678, "45.68"),
        (123.4, "123.4"),
        (4107.3, "4,107"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_table_says_what_was_reached() -> None:
    console = Console(width=120, file=io.StringIO())
    show(console, [figure(0.6, Goal("≥", 0.5)), figure(0.4, Goal("≥", 0.5)), figure(3, None)])
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert [text.count(word) for word in ("yes", " no ", "≥ 0.5")] == [1, 1, 2]
    assert "1 of 2 goals reached." in text


def test_the_file_holds_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "results" / "2026-01-01.json"
    write(path, {"commit": "abc"}, [figure(0.6, Goal("≥", 0.5))])
    written = json.loads(path.read_text())
    assert written["commit"] == "abc"
    [line] = written["figures"]
    assert (line["value"], line["goal"], line["reached"]) == (0.6, "≥ 0.5", True)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_delivery_is_signed_as_zoom_signs() -> None:
    head, _, body = deliveries.started().raw.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    headers = {name: value for name, _, value in lines}
    parsed = json.loads(body)
    timestamp = headers["x-zm-request-timestamp"]
    token = SECRETS["ZOOM_SECRET_TOKEN"]
    verified = signature.verify(
        (token,),
        timestamp=timestamp,
        signature=headers["x-zm-signature"],
        raw=body,
        body=parsed,
        now=float(timestamp),
        tolerance=300,
    )
    assert verified == token
    assert parsed["event"] == "meeting.rtms_started"
    assert len({*deliveries.several(50)}) == 50


def ask(creates: Creates, stream: str, key: str) -> int | None:
    body = json.dumps({"zoom_rtms": {"rtms_stream_id": stream}}).encode()
    reply = asyncio.run(creates.answer(key, body))
    return None if reply is None else reply.status


def test_the_lean_recall_keeps_an_answer_under_its_key() -> None:
    creates = Creates()
    assert [ask(creates, "a", "1"), ask(creates, "a", "1")] == [201, 201]
    assert creates.connections == 1
    assert duplicates(creates.ledger) == 0
    assert ask(creates, "a", "2") == 201
    assert duplicates(creates.ledger) == 1


def test_the_lean_recall_limits_by_a_sliding_window() -> None:
    now = 0.0
    creates = Creates()
    creates.limit = type(creates.limit)((2, 60.0), clock=lambda: now)
    assert [ask(creates, "a", "1"), ask(creates, "b", "2")] == [201, 201]
    now = 0.5
    body = json.dumps({"zoom_rtms": {"rtms_stream_id": "c"}}).encode()
    reply = asyncio.run(creates.answer("3", body))
    assert reply is not None
    assert (reply.status, reply.retry_after) == (429, 60)  # whole seconds, rounded up
    now = 60.0
    assert ask(creates, "c", "3") == 429  # kept under its key
    assert [ask(creates, "c", "4"), ask(creates, "d", "5")] == [
        201,
        201,
    ]  # a refusal is not counted
    assert ask(creates, "e", "6") == 429


def test_the_lean_recall_forgets_what_it_dropped() -> None:
    creates = Creates()
    creates.steer({"down_seconds": 60})
    assert ask(creates, "a", "1") == 503
    creates.steer({"down_seconds": 0})
    assert ask(creates, "a", "1") == 201


def test_the_lean_recall_can_be_silent_and_begin_anew() -> None:
    creates = Creates()
    creates.steer({"silent": True})
    assert ask(creates, "a", "1") is None
    creates.steer({"reset": True})
    assert creates.ledger == []
    assert ask(creates, "a", "1") == 201


def test_what_was_lost() -> None:
    entries = [
        Entry("a", 1.0, 503),
        Entry("a", 2.0, 201, 2.1, "one"),
        Entry("a", 3.0, 201, 3.1, "one"),
        Entry("b", 4.0, 429),
    ]
    assert connected(entries)["a"].arrived_at == 2.0
    assert duplicates(entries) == 0
    assert lost(["a", "b", "c"], entries) == 2
