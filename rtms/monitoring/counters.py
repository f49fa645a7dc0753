"""Counters and histograms that each process keeps in memory.

A delivery takes half a millisecond, so an observation may cost a microsecond: one lock, one number.
Every label has a closed set of values: any other value counts as `other`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from itertools import product
from typing import Any

from models import RequestCause
from rtms.recall.status_events import STATUS_EVENTS
from rtms.zoom.events import EVENT_NAMES
from rtms.zoom.signature import CHALLENGE_EVENT
from rtms.zoom.stop_reasons import STOP_REASONS
from rtms.zoom.stream_outcomes import STREAM_OUTCOMES

OTHER = "other"

_EVENTS = frozenset((*EVENT_NAMES, CHALLENGE_EVENT, *STATUS_EVENTS))
_REFUSALS = ("400", "401", "413", "503")
_ANSWERS = {
    200: "created",
    201: "created",
    401: "refused_401",
    402: "refused_402",
    403: "refused_403",
    408: "unknown",
    409: "unknown",
    429: "rate_limited",
    500: "not_done",
    507: "not_done",
    None: "no_answer",
}
_CREATE_OUTCOMES = tuple(dict.fromkeys((*_ANSWERS.values(), "refused")))
_RETRIEVE_OUTCOMES = (
    "found", "not_found", "rate_limited", "refused_401", "refused_402", "refused_403",
)  # fmt: skip


@dataclass(frozen=True)
class Counter:
    """Something that is counted.

    Args:
        starts: the label values that begin with 0. Prometheus sees no increase in a series that
            begins with 1.
    """

    name: str  # without _total
    help: str
    labels: tuple[str, ...]
    starts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Histogram:
    """A histogram of durations. Its buckets are upper bounds in seconds."""

    name: str
    help: str
    buckets: tuple[float, ...]


DELIVERIES = Counter(
    "rtms_deliveries",
    "Webhooks with a valid signature that were recorded, by sender, event and outcome.",
    ("source", "event", "outcome"),
    tuple(("zoom", event, "accepted") for event in EVENT_NAMES),
)
REFUSED = Counter(
    "rtms_deliveries_refused",
    "Webhooks that were refused, by the status of the response.",
    ("source", "status"),
    tuple(product(("zoom", "recall"), _REFUSALS)),
)
RECALL_ANSWERS = Counter(
    "rtms_recall_answers",
    "Recall's responses to requests, by operation (create, retrieve) and outcome.",
    ("operation", "outcome"),
    (*product(("create",), _CREATE_OUTCOMES), *product(("retrieve",), _RETRIEVE_OUTCOMES)),
)
STOPPED = Counter(
    "rtms_streams_stopped",
    "Streams that stopped, by Zoom's stop_reason.",
    ("stop_reason",),
    tuple((str(number),) for number in STOP_REASONS),
)
ZOOM_REQUESTS = Counter(
    "rtms_zoom_requests",
    "Requests to Zoom to start or stop a stream, by cause and outcome.",
    ("cause", "outcome"),
    tuple(product(RequestCause, STREAM_OUTCOMES)),
)
ACKNOWLEDGED = Histogram(
    "rtms_acknowledgement_seconds",
    "Seconds from Zoom's delivery to the response, where it was recorded. Zoom waits for three.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0),
)
CONNECTED = Histogram(
    "rtms_time_to_connect_seconds",
    "Seconds from a start's arrival to Recall's response that it has the stream. Zoom waits for "
    "about sixty.",
    (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0),
)
GAPS = Histogram(
    "rtms_gap_seconds",
    "Seconds of a meeting that were not recorded before its stream, which was lost and started "
    "again, was connected.",
    (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
COUNTERS = {
    each.name: each for each in (DELIVERIES, REFUSED, RECALL_ANSWERS, STOPPED, ZOOM_REQUESTS)
}
HISTOGRAMS = {each.name: each for each in (ACKNOWLEDGED, CONNECTED, GAPS)}


class Counts:
    """The counts of one process since it started. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], int] = {}
        self._took = {
            name: [0.0] * (len(each.buckets) + 2)  # plus one for +Inf and one for the sum
            for name, each in HISTOGRAMS.items()
        }

    def delivery(self, source: str, event: str, outcome: str) -> None:
        """Count a webhook that was recorded.

        Args:
            event: the sender's name for it.
            outcome: `results.IntakeResult.outcome`.
        """
        self._add("rtms_deliveries", source, event if event in _EVENTS else OTHER, outcome)

    def refusal(self, source: str, status: int) -> None:
        """Count a webhook that was refused."""
        label = str(status)
        self._add("rtms_deliveries_refused", source, label if label in _REFUSALS else OTHER)

    def stop(self, stop_reason: int | None) -> None:
        """Count a stream that stopped, by Zoom's number."""
        known = stop_reason in STOP_REASONS
        label = str(stop_reason) if known else "none" if stop_reason is None else OTHER
        self._add("rtms_streams_stopped", label)

    def recall_answer(self, operation: str, status: int | None) -> None:
        """Count a response of Recall's, or its absence.

        Args:
            operation: create or retrieve.
            status: the response's; None where there was none.
        """
        self._add("rtms_recall_answers", operation, answer_label(operation, status))

    def zoom_request(self, cause: str, outcome: str) -> None:
        """Count a request to Zoom to start or stop a stream.

        Args:
            cause: one of `RequestCause`.
            outcome: one of `stream_outcomes.STREAM_OUTCOMES`.
        """
        self._add("rtms_zoom_requests", cause, outcome)

    def acknowledged(self, seconds: float) -> None:
        """Observe how long the response to a recorded delivery of Zoom's took."""
        self._observe(ACKNOWLEDGED, seconds)

    def connected(self, seconds: float) -> None:
        """Observe how long after its start's arrival a stream was connected."""
        self._observe(CONNECTED, seconds)

    def gap(self, seconds: float) -> None:
        """Observe how long a meeting was not recorded before its restarted stream was connected."""
        self._observe(GAPS, seconds)

    def snapshot(self) -> list[Any]:
        """Return all counts for JSON: each counter's name, labels and count, and each histogram's
        name, no labels, and the numbers in its buckets followed by the sum of seconds."""
        with self._lock:
            counts: list[Any] = [[name, labels, n] for (name, *labels), n in self._counts.items()]
            return counts + [[name, [], list(took)] for name, took in self._took.items()]

    def _add(self, *key: str) -> None:
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def _observe(self, histogram: Histogram, seconds: float) -> None:
        bucket = bisect_left(histogram.buckets, seconds)
        with self._lock:
            took = self._took[histogram.name]
            took[bucket] += 1
            took[-1] += max(seconds, 0.0)  # the wall clock may be set back


def answer_label(operation: str, status: int | None) -> str:
    """Return the label for a response of Recall's."""
    if operation == "retrieve" and status in (200, 404):
        return "found" if status == 200 else "not_found"
    if status in _ANSWERS:
        return _ANSWERS[status]
    return "refused" if 300 <= (status or 0) < 500 else "unknown"


def read_counts(
    stored: object,
) -> tuple[dict[str, dict[tuple[str, ...], int]], dict[str, list[float]]]:
    """Parse the counts that a process stored, and add the zeros. Unknown names and forms are left
    out, because the process may run another version.

    Returns:
        Each counter's counts by labels, and each histogram's numbers as in `Counts.snapshot`.
    """
    counts: dict[str, dict[tuple[str, ...], int]] = {
        name: dict.fromkeys(each.starts, 0) for name, each in COUNTERS.items()
    }
    took: dict[str, list[float]] = {
        name: [0] * (len(each.buckets) + 2) for name, each in HISTOGRAMS.items()
    }
    for each in stored if isinstance(stored, list) else ():
        match each:
            case [str(name), [*labels], int(number)] if name in COUNTERS:
                if len(labels) == len(COUNTERS[name].labels):
                    counts[name][tuple(map(str, labels))] = number
            case [str(name), [], [*numbers]] if name in HISTOGRAMS:
                if len(numbers) == len(took[name]) and all(map(_is_number, numbers)):
                    took[name] = numbers
    return counts, took


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
