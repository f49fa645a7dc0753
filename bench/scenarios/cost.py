"""The CPU of a delivery and of a connect, in the server's processes."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from bench import deliveries
from bench.load import CONNECTIONS, FASTEST, hammer
from bench.processes import cpu, listening
from bench.report import Figure
from bench.samples import median, spread
from bench.servers import WORKER_BEGAN, Bench, Trouble, wait_until
from bench.spates import spate

LATENCY = 0.3  # seconds
ROWS = 1000  # to be connected
PATIENCE = 60.0  # seconds


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure web processes that only receive, and then a worker that connects. The database's and
    Recall's processes are not included."""
    received, connects = [], []
    rounds = 1 if bench.quick else 3
    for number in range(rounds):
        bench.progress(f"cost, {engine}: round {number + 1} of {rounds}")
        received.append(_of_a_delivery(bench, engine))
        connects.append(_of_a_connect(bench, engine))
    for name, samples, note in (
        ("a delivery", received, f"as fast as possible, {CONNECTIONS} connections"),
        ("a connect", connects, f"one worker, Recall takes {LATENCY} s"),
    ):
        yield Figure(
            scenario="cost", engine=engine, figure=f"CPU of {name}", value=median(samples),
            unit="ms", samples=spread(samples), note=note,
        )  # fmt: skip


def _of_a_delivery(bench: Bench, engine: str) -> float:
    """Milliseconds of a core."""
    seconds = 2.0 if bench.quick else 4.0
    url = bench.databases.fresh(engine)
    with bench.recall() as recall, bench.web(url, recall.url, DISPATCHER="off") as address:
        hammer(bench, address, deliveries.several(FASTEST), 1.0)
        processes = listening(address.port).children()
        requests = deliveries.several(int(FASTEST * seconds))
        before = cpu(processes)
        seen = hammer(bench, address, requests, seconds)
        took = cpu(processes) - before
    seen.require_all_accepted()
    if seen.answers > len(requests):
        raise Trouble(
            f"{seen.answers:,} answers to {len(requests):,} deliveries: some were repeated"
        )
    return 1000 * took / seen.answers


def _of_a_connect(bench: Bench, engine: str) -> float:
    """Milliseconds of a core."""
    count = ROWS // (4 if bench.quick else 1)
    url = bench.databases.fresh(engine)
    with bench.recall() as recall:
        recall.reset(latency=LATENCY)
        with bench.web(url, recall.url, DISPATCHER="off") as address:
            offered = spate([address], count, 1.0, patience=PATIENCE)
        with bench.worker(url, recall.url) as worker:
            wait_until(lambda: worker.has_said(WORKER_BEGAN), "the worker to begin", worker)
            process = psutil.Process(worker.pid)
            before = cpu([process])
            wait_until(lambda: _connected(bench, url) >= len(offered.accepted), "all connects")
            took = cpu([process]) - before
    return 1000 * took / len(offered.accepted)


def _connected(bench: Bench, url: str) -> int:
    return bench.databases.count(url, "meeting_direct_connects", "state = 'connected'")
