"""Render a snapshot and the processes' counts as Prometheus metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from rtms.monitoring.counters import COUNTERS, HISTOGRAMS, read_counts
from rtms.monitoring.meeting_counts import STATES_AND_REASONS, StateCounts
from rtms.monitoring.snapshot import Snapshot
from rtms.recall import rate_limit

_STATE_AND_REASON = ("state", "reason")


class Exposition:
    """The metrics of one scrape.

    Args:
        snapshot: what was read from the database; None where it does not answer.
        own: this process's current row of `processes`.
    """

    def __init__(self, snapshot: Snapshot | None, own: Mapping[str, Any]) -> None:
        self._snapshot = snapshot
        stored = snapshot.processes if snapshot else ()
        others = [row._asdict() for row in stored if row.name != own["name"]]
        self._processes: list[Mapping[str, Any]] = [own, *others]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as a registry expects them."""
        up = self._snapshot is not None
        yield _gauge("rtms_database_up", "Whether the database answers (1) or not (0).", up)
        yield from _of_processes(self._processes)
        if self._snapshot is None:
            return
        ok = self._snapshot.schema_is_ok
        yield _gauge(
            "rtms_schema_ok",
            "Whether the database has the schema that this version needs (1) or not (0).",
            ok,
        )
        if ok:
            yield from _of_meetings(self._snapshot)
            yield from _of_queues(self._snapshot)
            yield from _of_arrivals(self._snapshot)
            yield from _of_gates(self._snapshot)


def _of_meetings(snapshot: Snapshot) -> Iterator[Metric]:
    yield _by_state(
        "rtms_meetings",
        "Meetings in the table, by state, and by reason where they failed or were skipped.",
        snapshot.meetings,
    )
    yield _by_state(
        "rtms_meetings_last_hour",
        "Meetings whose start arrived within the last hour, or that began earlier and failed "
        "within it, by current state.",
        snapshot.recent,
    )
    yield _by_state(
        "rtms_meetings_rate_limited_last_hour",
        "Meetings whose start arrived within the last hour and that met Recall's rate limit (429), "
        "by current state.",
        snapshot.recent_rate_limited,
    )


def _of_queues(snapshot: Snapshot) -> Iterator[Metric]:
    due = GaugeMetricFamily(
        "rtms_rows_due", "Rows that are due and that no process works on.", labels=["lane"]
    )
    leased = GaugeMetricFamily("rtms_rows_leased", "Rows that a process works on.", labels=["lane"])
    oldest = GaugeMetricFamily(
        "rtms_oldest_waiting_seconds",
        "How long the oldest waiting row has waited; 0 where none waits. For the connect job since "
        "its start arrived, for the others since it was due.",
        labels=["lane"],
    )
    for job, queue in snapshot.queues.items():
        due.add_metric([job], queue.due)
        leased.add_metric([job], queue.leased)
        oldest.add_metric([job], queue.oldest_seconds)
    yield from (due, leased, oldest)


def _of_arrivals(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.last_delivery:
        yield _gauge(
            "rtms_last_delivery_timestamp_seconds",
            "When Zoom's last new delivery arrived, in seconds since 1970.",
            snapshot.last_delivery.timestamp(),
        )
    if snapshot.last_start:
        yield _gauge(
            "rtms_last_start_timestamp_seconds",
            "When the last start of a stream arrived (rtms_started), in seconds since 1970.",
            snapshot.last_start.timestamp(),
        )


def _of_gates(snapshot: Snapshot) -> Iterator[Metric]:
    closed = GaugeMetricFamily(
        "rtms_gate_closed",
        "Whether requests to Recall are paused now (1): create after a 429; retrieve also for an "
        "even pace, many times a minute.",
        labels=["gate"],
    )
    until = GaugeMetricFamily(
        "rtms_gate_closed_until_timestamp_seconds",
        "Until when requests to Recall are or were paused, in seconds since 1970.",
        labels=["gate"],
    )
    rows = {row.name: row for row in snapshot.gates}
    for name in (rate_limit.CREATE_GATE, rate_limit.RETRIEVE_GATE):
        row = rows.get(name)
        closed.add_metric([name], float(row is not None and row.closed_until > snapshot.now))
        if row:
            until.add_metric([name], row.closed_until.timestamp())
    yield from (closed, until)
    limit = rate_limit.believed_limit(rows.get(rate_limit.CREATE_GATE), snapshot.now)
    if limit:
        yield _gauge(
            "rtms_recall_limit_creates",
            "Estimate of how many creates Recall admits in rtms_recall_limit_period_seconds, "
            "learned from its refusals. Absent where there is no estimate.",
            limit.creates,
        )
        yield _gauge(
            "rtms_recall_limit_period_seconds",
            "The period of rtms_recall_limit_creates.",
            limit.seconds,
        )


def _of_processes(processes: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "rtms_dispatcher_up",
        "Whether this process leases due rows (1) or not (0).",
        labels=["process", "kind"],
    )
    started = GaugeMetricFamily(
        "rtms_process_start_time_seconds",
        "When this process started, in seconds since 1970.",
        labels=["process", "kind"],
    )
    counters = {
        name: CounterMetricFamily(name, each.help, labels=["process", *each.labels])
        for name, each in COUNTERS.items()
    }
    histograms = {
        name: HistogramMetricFamily(name, each.help, labels=["process"])
        for name, each in HISTOGRAMS.items()
    }
    for row in processes:
        process = row["name"]
        up.add_metric([process, row["kind"]], float(row["dispatches"]))
        started.add_metric([process, row["kind"]], row["started_at"].timestamp())
        counts, took = read_counts(row["counts"])
        for name, by_labels in counts.items():
            for labels, number in sorted(by_labels.items()):
                counters[name].add_metric([process, *labels], number)
        for name, (*numbers, seconds) in took.items():
            buckets = _cumulated(HISTOGRAMS[name].buckets, numbers)
            histograms[name].add_metric([process], buckets, seconds)
    yield from (up, started, *counters.values(), *histograms.values())


def _cumulated(bounds: Iterable[float], numbers: Iterable[float]) -> list[tuple[str, float]]:
    """Return cumulative buckets, as Prometheus expects them."""
    total, buckets = 0.0, []
    for bound, number in zip((*map(str, bounds), "+Inf"), numbers, strict=True):
        total += number
        buckets.append((bound, total))
    return buckets


def _by_state(name: str, help: str, meetings: StateCounts) -> Metric:
    family = GaugeMetricFamily(name, help, labels=_STATE_AND_REASON)
    for key in STATES_AND_REASONS:
        family.add_metric(key, meetings[key])
    return family


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=float(value))
