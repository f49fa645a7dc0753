"""The time of an acknowledgement while Recall is slow, down or silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from bench.ledger import Recall
from bench.load import Sample
from bench.report import Figure, Goal
from bench.samples import percentile, spread
from bench.servers import Address, Bench, nobody
from bench.spates import spate

RATE = 30  # deliveries per second
GOAL_P99_MS = 50
PATIENCE = 10.0  # seconds; Zoom itself waits three
WARM_UP = 1.0  # seconds
WAYS: dict[str, dict[str, Any] | None] = {
    "Recall takes 0.3 s": {"latency": 0.3},
    "Recall takes 5 s": {"latency": 5.0},
    "Recall refuses connections": None,
    "Recall accepts and never answers": {"silent": True},
}
Serve = Callable[[str], AbstractContextManager[Address]]  # from Recall's URL to the server's


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Deliver at an even pace, for each of Recall's four behaviours."""

    def serve(recall_url: str) -> AbstractContextManager[Address]:
        return bench.web(bench.databases.fresh(engine), recall_url)

    yield from _ways(bench, engine, serve, Goal("≤", GOAL_P99_MS))


def beside(bench: Bench) -> Iterator[Figure]:
    """Do the same to the quickstart."""
    why = bench.why_no_quickstart()
    if why:
        yield Figure(scenario="bad-recall", engine="quickstart", figure="p99", value=None, note=why)
        return
    yield from _ways(bench, "quickstart", bench.quickstart, None)


def _ways(bench: Bench, engine: str, serve: Serve, goal: Goal | None) -> Iterator[Figure]:
    seconds = 4 if bench.quick else 10
    with bench.recall() as recall:
        for words, settings in WAYS.items():
            bench.progress(f"bad-recall, {engine}: {words}")
            with ExitStack() as stack:
                url = _recall(stack, recall, settings)
                address = stack.enter_context(serve(url))
                spate([address], int(RATE * WARM_UP), WARM_UP, patience=WARM_UP)
                samples = spate([address], RATE * seconds, seconds, patience=PATIENCE).samples
            yield _figure(engine, words, samples, goal)


def _recall(stack: ExitStack, recall: Recall, settings: dict[str, Any] | None) -> str:
    if settings is None:
        return stack.enter_context(nobody())
    recall.reset(**settings)
    return recall.url


def _figure(engine: str, words: str, samples: list[Sample], goal: Goal | None) -> Figure:
    """Return the figure. It has no value unless every delivery was answered with 200 or 204."""
    took = [each.seconds * 1000 for each in samples if each.status is not None]
    failed = [each for each in samples if each.status not in (200, 204)]
    note = f"{RATE} per second"
    if took:
        note += f"; p50 {percentile(took, 50):.1f}, max {max(took):.1f} ms"
    for status in sorted({each.status for each in failed}, key=str):
        count = sum(each.status == status for each in failed)
        said = f"no answer within {PATIENCE:g} s" if status is None else f"answered {status}"
        note += f"; {count} of {len(samples)} {said}"
    good = took and not failed
    return Figure(
        scenario="bad-recall",
        engine=engine,
        figure=f"acknowledgement p99, {words}",
        value=percentile(took, 99) if good else None,
        unit="ms",
        goal=goal,
        note=note,
        samples=spread(took),
    )
