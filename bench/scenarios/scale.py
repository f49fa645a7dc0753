"""Several processes: how many more streams they connect, and that none is connected twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench.ledger import connected, duplicates, lost
from bench.load import CONNECTIONS
from bench.report import Figure, Goal
from bench.samples import median, spread, steady_rate
from bench.servers import Bench
from bench.spates import spate, wait_for_connections

LATENCY = 0.3  # seconds
WORKERS = (1, 2, 4)
ROWS_EACH = 1000  # rows for each worker to connect
GOAL = 3.5  # four workers, compared with one
ADDRESSES = 8  # servers, each on its own address
SHARED_ROWS = 600
PATIENCE = 90.0  # seconds


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure one, two and four workers; then eight servers that share one database."""
    rounds = 1 if bench.quick else 2
    rates: dict[int, list[float]] = {count: [] for count in WORKERS}
    for number in range(rounds):
        for count in WORKERS:
            bench.progress(f"scale, {engine}: {count} workers, round {number + 1} of {rounds}")
            rates[count].append(_rate(bench, engine, count))
    for count in WORKERS:
        yield Figure(
            scenario="scale", engine=engine, figure=f"connected, {count} worker{'s' * (count > 1)}",
            value=median(rates[count]), unit="/s", note=f"Recall takes {LATENCY} s",
            samples=spread(rates[count]),
        )  # fmt: skip
    ratios = [four / one for one, four in zip(rates[1], rates[4], strict=True)]
    yield Figure(
        scenario="scale", engine=engine, figure="4 workers beside one", value=median(ratios),
        unit="×", goal=Goal("≥", GOAL),
    )  # fmt: skip
    yield from _shared(bench, engine)


def _rate(bench: Bench, engine: str, workers: int) -> float:
    """Return the connects per second while workers process rows that were stored before."""
    count = ROWS_EACH * workers // (2 if bench.quick else 1)
    url = bench.databases.fresh(engine)
    with ExitStack() as stack:
        recall = stack.enter_context(bench.recall())
        recall.reset(latency=LATENCY)
        with bench.web(url, recall.url, DISPATCHER="off") as address:
            offered = spate([address], count, 0.1, connections=CONNECTIONS, patience=PATIENCE)
        for _ in range(workers):
            stack.enter_context(bench.worker(url, recall.url))
        wait_for_connections(recall, len(offered.accepted), PATIENCE)
        moments = [each.answered_at for each in connected(recall.ledger()).values()]
    return steady_rate([at for at in moments if at is not None])


def _shared(bench: Bench, engine: str) -> Iterator[Figure]:
    """Deliver every start to two of eight servers at once."""
    bench.progress(f"scale, {engine}: {ADDRESSES} servers share a database")
    url = bench.databases.fresh(engine)
    with ExitStack() as stack:
        recall = stack.enter_context(bench.recall())
        recall.reset(latency=LATENCY)
        hosts = [f"127.0.0.{2 + number}" for number in range(ADDRESSES)]
        addresses = [
            stack.enter_context(bench.web(url, recall.url, host=host, WEB_CONCURRENCY="1"))
            for host in hosts
        ]
        seen = spate(addresses, SHARED_ROWS, 4.0)
        wait_for_connections(recall, SHARED_ROWS, PATIENCE)
        time.sleep(1.0)  # a second connection would be a duplicate
        entries = recall.ledger()
    refused = len(seen.samples) - len(seen.accepted)
    for what, value in (
        ("not acknowledged", refused),
        ("duplicates", duplicates(entries)),
        ("lost", lost(seen.accepted, entries)),
    ):
        yield Figure(
            scenario="scale", engine=engine, value=value, goal=Goal("=", 0),
            figure=f"{what}, {ADDRESSES} servers on addresses of their own",
            note=f"{SHARED_ROWS} starts, each delivered to two of them at once",
        )  # fmt: skip
