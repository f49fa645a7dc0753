"""The cost of a long history: a million stored meetings, compared with a thousand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

from bench import deliveries
from bench.fill import fill
from bench.load import hammer
from bench.report import Figure, Goal
from bench.samples import median, spread
from bench.scenarios.idle import one_at_a_time
from bench.servers import Address, Bench, python
from sandbox.processes import ROOT

FEW = 1_000
GOAL = 1.2  # times
CONNECTIONS = 8
LISTS = 15
_NO_RECALL = "http://127.0.0.1:1"  # never called


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure both in turns, so that drift of the machine cancels."""
    many = 100_000 if bench.quick else 1_000_000
    few_url, many_url = bench.databases.fresh(engine), bench.databases.fresh(engine)
    fill(few_url, FEW, lambda _: None)

    def report(at: int) -> None:
        if at % 200_000 == 0:
            bench.progress(f"history, {engine}: {at:,} of {many:,} meetings inserted")

    fill(many_url, many, report)
    beside = f"{many:,} stored meetings and {FEW:,}, plus what each round adds to both"
    # First those that leave no row pending.
    yield from _connects(bench, engine, (few_url, many_url), beside)
    yield from _lists(bench, engine, (few_url, many_url), beside)
    yield from _acknowledgements(bench, engine, (few_url, many_url), beside)


def _acknowledgements(
    bench: Bench, engine: str, urls: tuple[str, str], beside: str
) -> Iterator[Figure]:
    rounds, seconds = (3, 2.0) if bench.quick else (5, 3.0)
    rates: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        servers = [
            stack.enter_context(bench.web(url, _NO_RECALL, DISPATCHER="off")) for url in urls
        ]
        for address in servers:
            _rate(bench, address, 1.0)
        for number in range(rounds):
            bench.progress(f"history, {engine}: acknowledging, round {number + 1} of {rounds}")
            for address, samples in zip(servers, rates, strict=True):
                samples.append(_rate(bench, address, seconds))
    ratios = [few / many for few, many in zip(*rates, strict=True)]
    yield Figure(
        scenario="history", engine=engine, figure="cost of an acknowledgement",
        value=median(ratios), unit="×", goal=Goal("≤", GOAL), samples=spread(ratios),
        note=f"{beside}: {median(rates[1]):,.0f} and {median(rates[0]):,.0f} a second",
    )  # fmt: skip


def _rate(bench: Bench, address: Address, seconds: float) -> float:
    requests = deliveries.several(int(seconds * 6000))
    seen = hammer(bench, address, requests, seconds, CONNECTIONS)
    seen.require_all_accepted()
    return seen.rate


def _lists(bench: Bench, engine: str, urls: tuple[str, str], beside: str) -> Iterator[Figure]:
    bench.progress(f"history, {engine}: `meetings list`")
    took: tuple[list[float], list[float]] = ([], [])  # the median of each round, in ms
    for _ in range(3 if bench.quick else 7):
        for url, samples in zip(urls, took, strict=True):
            done = subprocess.run(
                python("bench.listing", str(LISTS)), cwd=ROOT, check=True, capture_output=True,
                env=bench.environ(url, _NO_RECALL),
            )  # fmt: skip
            samples.append(median([1000 * each for each in json.loads(done.stdout)]))
    ratios = [many / few for few, many in zip(*took, strict=True)]
    yield Figure(
        scenario="history", engine=engine, figure="cost of `meetings list`", value=median(ratios),
        unit="×", goal=Goal("≤", GOAL), samples=spread(ratios),
        note=f"{beside}: {median(took[1]):.1f} and {median(took[0]):.1f} ms, without Python's "
        "start",
    )  # fmt: skip


def _connects(bench: Bench, engine: str, urls: tuple[str, str], beside: str) -> Iterator[Figure]:
    """Measure connects, because the queue's statements read the same tables."""
    bench.progress(f"history, {engine}: one meeting at a time")
    p50 = []
    count = 20 if bench.quick else 60
    with bench.recall() as recall:
        for url in urls:
            with bench.web(url, recall.url) as address:
                one_at_a_time(recall, address, 5)
                p50.append(median([each * 1000 for each in one_at_a_time(recall, address, count)]))
    yield Figure(
        scenario="history", engine=engine, figure="delivery to Recall, p50", value=p50[1] / p50[0],
        unit="×", note=f"{beside}: {p50[1]:.1f} and {p50[0]:.1f} ms",
    )  # fmt: skip
