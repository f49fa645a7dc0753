"""Durable acknowledgements per second, compared with an empty Flask route, in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench import deliveries
from bench.load import CONNECTIONS, FASTEST, Throughput, client_name, hammer
from bench.report import Figure, Goal
from bench.samples import median, spread
from bench.servers import Address, Bench

GOAL = {"sqlite": 0.50, "postgresql": 0.40}
GOAL_P99_MS = 50
RECALL_SECONDS = 0.3
WARM_UP = 1.0  # seconds
SETTLING = 0.3  # seconds
KINDS = {
    "on": "while connecting (the default)",
    "off": "DISPATCHER=off: only receiving",
}


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure the empty route and the server in turns, so that drift of the machine cancels. Each
    result is compared with the median of the empty route, which is half as fast when one of its two
    processes happens to get all connections."""
    rounds, seconds = (3, 2.0) if bench.quick else (5, 4.0)
    seen: dict[str, list[Throughput]] = {"empty": [], "on": [], "off": []}
    void: dict[str, str] = {}
    with ExitStack() as stack:
        recall = stack.enter_context(bench.recall())
        empty = stack.enter_context(bench.empty())
        for number in range(rounds):
            bench.progress(f"ack, {engine}: round {number + 1} of {rounds}")
            for dispatcher in KINDS:
                seen["empty"].append(_of_empty(bench, empty, seconds))
                most = max(FASTEST, *(each.rate for each in seen["empty"]))
                recall.reset(latency=RECALL_SECONDS)
                url = bench.databases.fresh(engine)
                ours, wrong = _of_ours(bench, url, recall.url, dispatcher, seconds, most)
                seen[dispatcher].append(ours)
                if wrong:
                    void[dispatcher] = wrong
    beside = median([each.rate for each in seen["empty"]])
    client = f"{client_name()}, {CONNECTIONS} connections"
    yield _figure(engine, "empty Flask route", [each.rate for each in seen["empty"]], "/s", client)
    for kind, words in KINDS.items():
        name, rates = f"durable acknowledgements, {words}", [each.rate for each in seen[kind]]
        yield _figure(engine, name, rates, "/s", void.get(kind, ""), void=kind in void)
        ratios = [rate / beside for rate in rates]
        yield _figure(
            engine, f"ack ratio, {words}", ratios, "×",
            f"{void.get(kind, '')} best and worst round: "
            f"{max(ratios):.2f}, {min(ratios):.2f}".strip(),
            Goal("≥", GOAL[engine]), void=kind in void,
        )  # fmt: skip
        slow = [each.p99 * 1000 for each in seen[kind]]
        yield _figure(
            engine, f"p99, {words}", slow, "ms", f"at {CONNECTIONS} connections",
            Goal("≤", GOAL_P99_MS), void=kind in void,
        )  # fmt: skip
    yield _figure(
        engine, "p99, empty Flask route", [each.p99 * 1000 for each in seen["empty"]], "ms", ""
    )


def _of_empty(bench: Bench, address: Address, seconds: float) -> Throughput:
    requests = deliveries.several(500)
    return hammer(bench, address, requests, seconds)


def _of_ours(
    bench: Bench, url: str, recall_url: str, dispatcher: str, seconds: float, most: float
) -> tuple[Throughput, str]:
    """Return the client's results, and what invalidates them, if anything. What was acknowledged
    must be in the table, and requests that were open at the end may be."""
    with bench.web(url, recall_url, DISPATCHER=dispatcher) as address:
        hammer(bench, address, deliveries.several(int(most * WARM_UP) + 100), WARM_UP)
        before = _rows(bench, url)
        requests = deliveries.several(int(1.2 * most * seconds) + 100)
        seen = hammer(bench, address, requests, seconds)
        rows = _rows(bench, url) - before
    if seen.errors or seen.refused:
        return seen, f"void: {seen.errors} without an answer, {seen.refused} refused;"
    if not 0 <= rows - seen.answers <= CONNECTIONS:
        return seen, f"void: {seen.answers:,} acknowledgements, {rows:,} rows;"
    return seen, ""


def _rows(bench: Bench, url: str) -> int:
    """Count rows, after requests that were open at the end have been written."""
    last, count = -1, 0
    while count != last:
        time.sleep(SETTLING)
        last, count = count, bench.databases.count(url, "meeting_direct_connects")
    return count


def _figure(
    engine: str,
    name: str,
    samples: list[float],
    unit: str,
    note: str,
    goal: Goal | None = None,
    *,
    void: bool = False,
) -> Figure:
    return Figure(
        scenario="ack",
        engine=engine,
        figure=name,
        value=None if void else median(samples),
        unit=unit,
        goal=goal,
        note=note,
        samples=spread(samples),
    )
