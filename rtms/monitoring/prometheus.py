"""From what is known to Prometheus's words. Pure."""

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
    """What one answer to Prometheus tells.

    Args:
        snapshot: what the database says; None where it does not answer.
        own: the answering process's own row of `processes`, as it is now.
    """

    def __init__(self, snapshot: Snapshot | None, own: Mapping[str, Any]) -> None:
        self._snapshot = snapshot
        stored = snapshot.processes if snapshot else ()
        others = [row._asdict() for row in stored if row.name != own["name"]]
        self._processes: list[Mapping[str, Any]] = [own, *others]

    def collect(self) -> Iterator[Metric]:
        """The metrics, as a registry asks for them."""
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
        "Meetings whose start came within the last hour, or that began before and failed within "
        "it, by where they stand now.",
        snapshot.recent,
    )
    yield _by_state(
        "rtms_meetings_rate_limited_last_hour",
        "Meetings whose start came within the last hour and that met Recall's rate limit (429), by "
        "where they stand now.",
        snapshot.recent_rate_limited,
    )


def _of_queues(snapshot: Snapshot) -> Iterator[Metric]:
    due = GaugeMetricFamily(
        "rtms_rows_due", "Rows that want something now and nobody is at work on.", labels=["lane"]
    )
    leased = GaugeMetricFamily(
        "rtms_rows_leased", "Rows that a process is at work on.", labels=["lane"]
    )
    oldest = GaugeMetricFamily(
        "rtms_oldest_waiting_seconds",
        "How long the row that waits longest has waited; 0 where none waits. In the connect lane "
        "since its start came, in the others since it was due.",
        labels=["lane"],
    )
    for lane, queue in snapshot.queues.items():
        due.add_metric([lane], queue.due)
        leased.add_metric([lane], queue.leased)
        oldest.add_metric([lane], queue.oldest_seconds)
    yield from (due, leased, oldest)


def _of_arrivals(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.last_delivery:
        yield _gauge(
            "rtms_last_delivery_timestamp_seconds",
            "When Zoom's last delivery came that was new, in seconds since 1970.",
            snapshot.last_delivery.timestamp(),
        )
    if snapshot.last_start:
        yield _gauge(
            "rtms_last_start_timestamp_seconds",
            "When the last start of a stream came (rtms_started), in seconds since 1970.",
            snapshot.last_start.timestamp(),
        )


def _of_gates(snapshot: Snapshot) -> Iterator[Metric]:
    closed = GaugeMetricFamily(
        "rtms_gate_closed",
        "Whether nobody is to ask Recall at this moment (1): create after a 429; retrieve also for "
        "an even pace, many times a minute.",
        labels=["gate"],
    )
    until = GaugeMetricFamily(
        "rtms_gate_closed_until_timestamp_seconds",
        "Until when nobody is or was to ask Recall, in seconds since 1970.",
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
            "How many creates Recall is believed to admit in rtms_recall_limit_period_seconds, "
            "learned from its refusals. Absent where nothing is believed.",
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
        "Whether this process takes due rows (1) or not (0).",
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
    """Buckets as Prometheus wants them: each holds what the smaller ones hold, too."""
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
