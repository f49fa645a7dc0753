"""One meeting at a time on an idle server: from the delivery to the request to Recall."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from bench import deliveries
from bench.ledger import Recall, connected
from bench.report import Figure, Goal
from bench.samples import percentile, spread
from bench.servers import Address, Bench
from bench.spates import wait_for_connections

GOAL_P99_MS = 20
WARM_UP = 10  # meetings
PAUSE = (0.01, 0.1)  # seconds between a connected meeting and the next one
QUIET = 0.05  # seconds during which the benchmark does nothing
PATIENCE = 30.0  # seconds


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Deliver, wait for the connect, pause, and repeat."""
    with bench.recall() as recall:
        server = bench.web(bench.databases.fresh(engine), recall.url)
        yield from _figures(bench, engine, recall, server, Goal("≤", GOAL_P99_MS))


def beside(bench: Bench) -> Iterator[Figure]:
    """Measure the quickstart too, which stores nothing."""
    if not bench.why_no_quickstart():
        with bench.recall() as recall:
            yield from _figures(bench, "quickstart", recall, bench.quickstart(recall.url), None)


def one_at_a_time(recall: Recall, address: Address, count: int) -> list[float]:
    """Return the seconds from each delivery to the arrival of Recall's request for it."""
    sent: dict[str, float] = {}
    recall.reset()
    for number in range(count):
        signed = deliveries.started()
        sent[signed.stream_id] = time.time()
        with socket.create_connection((address.host, address.port)) as client:
            client.sendall(signed.raw)
            client.recv(4096)
        time.sleep(QUIET)
        wait_for_connections(recall, number + 1, PATIENCE)
        time.sleep(random.uniform(*PAUSE))
    first = connected(recall.ledger())
    return [each.arrived_at - sent[stream] for stream, each in first.items()]


def _figures(
    bench: Bench,
    engine: str,
    recall: Recall,
    server: AbstractContextManager[Address],
    goal: Goal | None,
) -> Iterator[Figure]:
    count = 100 if bench.quick else 300
    bench.progress(f"idle, {engine}: {count} meetings, one at a time")
    with server as address:
        one_at_a_time(recall, address, WARM_UP)
        took = [each * 1000 for each in one_at_a_time(recall, address, count)]
    for percent, goal_here in ((50, None), (99, goal)):
        complete = len(took) == count
        yield Figure(
            scenario="idle", engine=engine, figure=f"delivery to Recall, p{percent}",
            value=percentile(took, percent) if complete else None, unit="ms", goal=goal_here,
            samples=spread(took),
            note="" if complete else f"void: {len(took)} of {count} were connected",
        )  # fmt: skip
