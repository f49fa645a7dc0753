"""What a process counts, and how it is read back."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from rtms.monitoring.counters import (
    ACKNOWLEDGED,
    COUNTERS,
    DELIVERIES,
    HISTOGRAMS,
    OTHER,
    Counts,
    answer_label,
    read_counts,
)
from rtms.zoom.meanings import Unknown
from tests.conftest import load
from tests.unit.test_events import MEANINGS


def read(counts: Counts, name: str) -> dict[tuple[str, ...], int]:
    """A counter as another process reads it, without what was never counted."""
    stored = json.loads(json.dumps(counts.snapshot()))
    return {labels: number for labels, number in read_counts(stored)[0][name].items() if number}


def test_what_is_counted_is_read_back_by_its_labels() -> None:
    counts = Counts()
    for outcome in ("accepted", "accepted", "duplicate"):
        counts.delivery("zoom", "meeting.rtms_started", outcome)
    counts.refusal("recall", 401)
    assert read(counts, "rtms_deliveries") == {
        ("zoom", "meeting.rtms_started", "accepted"): 2,
        ("zoom", "meeting.rtms_started", "duplicate"): 1,
    }
    assert read(counts, "rtms_deliveries_refused") == {("recall", "401"): 1}


def test_every_event_that_means_something_has_a_label_from_the_start() -> None:
    known = {load(name)["event"] for name, means in MEANINGS.items() if means != Unknown()}
    assert known <= {labels[1] for labels in DELIVERIES.starts}


@pytest.mark.parametrize(
    "event",
    ["", "meeting.rtms_unheard_of", 'a"} 1\nrtms_deliveries_total 9', "\x00", "x" * 100_000],
)
def test_an_event_that_nobody_knows_makes_no_label_of_its_own(event: str) -> None:
    counts = Counts()
    counts.delivery("zoom", event, "unknown")
    assert read(counts, "rtms_deliveries") == {("zoom", OTHER, "unknown"): 1}


@pytest.mark.parametrize(
    ("stop_reason", "label"), [(6, "6"), (18, "18"), (None, "none"), (27, OTHER), (-(2**30), OTHER)]
)
def test_stop_reasons_are_a_closed_set(stop_reason: int | None, label: str) -> None:
    counts = Counts()
    counts.stop(stop_reason)
    assert read(counts, "rtms_streams_stopped") == {(label,): 1}


@pytest.mark.parametrize(
    ("operation", "status", "word"),
    [
        ("create", 201, "created"),
        ("create", 200, "created"),
        ("create", 429, "rate_limited"),
        ("create", 401, "refused_401"),
        ("create", 402, "refused_402"),
        ("create", 403, "refused_403"),
        ("create", 400, "refused"),
        ("create", 404, "refused"),
        ("create", 301, "refused"),
        ("create", 408, "unknown"),
        ("create", 409, "unknown"),
        ("create", 500, "not_done"),
        ("create", 507, "not_done"),
        ("create", 503, "unknown"),
        ("create", 204, "unknown"),
        ("create", None, "no_answer"),
        ("retrieve", 200, "found"),
        ("retrieve", 404, "not_found"),
        ("retrieve", 429, "rate_limited"),
        ("retrieve", 401, "refused_401"),
        ("retrieve", None, "no_answer"),
    ],
)
def test_each_answer_of_recalls_has_a_word(operation: str, status: int | None, word: str) -> None:
    assert answer_label(operation, status) == word
    counts = Counts()
    counts.recall_answer(operation, status)
    assert read(counts, "rtms_recall_answers") == {(operation, word): 1}


def test_a_duration_is_in_the_first_bucket_that_holds_it() -> None:
    counts = Counts()
    for seconds in (0.0, 0.001, 0.0011, 2.5, 3.1, 1000.0):
        counts.acknowledged(seconds)
    *buckets, total = read_counts(counts.snapshot())[1][ACKNOWLEDGED.name]
    by_bound = dict(zip([*ACKNOWLEDGED.buckets, None], buckets, strict=True))
    assert {bound: number for bound, number in by_bound.items() if number} == {
        0.001: 2, 0.0025: 1, 3.0: 1, None: 2,
    }  # fmt: skip
    assert total == pytest.approx(1005.6021)


def test_a_clock_that_was_set_back_takes_nothing_off_the_sum() -> None:
    counts = Counts()
    counts.connected(2.0)
    counts.connected(-3600.0)
    assert read_counts(counts.snapshot())[1]["rtms_time_to_connect_seconds"][-1] == 2.0


def test_threads_lose_nothing() -> None:
    counts = Counts()

    def count() -> None:
        for _ in range(5_000):
            counts.delivery("zoom", "meeting.rtms_started", "accepted")
            counts.acknowledged(0.01)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(read(counts, "rtms_deliveries").values()) == 40_000
    assert sum(read_counts(counts.snapshot())[1][ACKNOWLEDGED.name][:-1]) == 40_000


def test_what_was_never_counted_is_told_as_zero() -> None:
    """Prometheus sees no increase where a series begins with its first 1."""
    counts, took = read_counts([])
    assert counts["rtms_recall_answers"][("create", "refused_401")] == 0
    assert counts["rtms_streams_stopped"][("18",)] == 0
    assert counts["rtms_deliveries"][("zoom", "rtms.concurrency_limited", "accepted")] == 0
    assert set(counts) == set(COUNTERS)
    assert set(took) == set(HISTOGRAMS)
    for name, counter in COUNTERS.items():
        assert all(len(labels) == len(counter.labels) for labels in counts[name])


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        "counts",
        [None, 1, [], ["rtms_deliveries"]],
        [["rtms_of_a_later_version", ["a"], 1]],
        [["rtms_deliveries", ["zoom"], 1]],
        [["rtms_deliveries", ["zoom", "x", "accepted"], "1"]],
        [["rtms_deliveries", ["zoom", "x", "accepted"], [1]]],
        [["rtms_acknowledgement_seconds", [], [1, 2, 3]]],
        [["rtms_acknowledgement_seconds", [], 7]],
        [["rtms_acknowledgement_seconds", [], ["x"] * 14]],
    ],
)
def test_what_another_version_stored_otherwise_is_left_out(stored: Any) -> None:
    assert read_counts(stored) == read_counts([])
