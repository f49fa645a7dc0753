"""Many meetings that start in the same second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.ledger import Recall, connected, duplicates, lost
from bench.report import Figure, Goal
from bench.samples import percentile, spread
from bench.servers import Address, Bench
from bench.spates import Spate, spate, wait_for_connections

COUNT = 2000
WINDOW = 60.0  # seconds that Zoom waits for a stream to be connected
PATIENCE = 90.0  # seconds for the last to be connected
VARIANTS: dict[str, dict[str, Any]] = {
    "Recall takes 0.3 s": {"latency": 0.3},
    "and allows 100 a second": {"latency": 0.3, "limit": (100, 1.0)},
    "and answers 503 for the first 10 s": {"latency": 0.3, "down_seconds": 10.0},
}

_STREAMS = "SELECT rtms_stream_id FROM meeting_direct_connects"


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Deliver all starts in one second, for each behaviour of Recall."""
    variants = dict(list(VARIANTS.items())[:1]) if bench.quick else VARIANTS
    with bench.recall() as recall:
        for words, settings in variants.items():
            bench.progress(f"spike, {engine}: {COUNT:,} starts in one second, {words}")
            url = bench.databases.fresh(engine)
            with bench.web(url, recall.url) as address:
                recall.reset(latency=settings["latency"])
                _warm_up(recall, address)
                recall.reset(**settings)
                seen = spate([address], COUNT, 1.0)
                wait_for_connections(recall, len(seen.accepted), PATIENCE)
                time.sleep(1.0)  # a second connection would be a duplicate
                rows = bench.databases.query(url, _STREAMS)
            plain = words == next(iter(VARIANTS))
            yield from _figures(engine, words, recall, seen, plain)
            missing = set(seen.accepted) - {stream for (stream,) in rows}
            yield _count(engine, words, "acknowledged without a row", len(missing))


def _warm_up(recall: Recall, address: Address) -> None:
    count = 20
    spate([address], count, 0.5)
    wait_for_connections(recall, count, PATIENCE)


def _figures(engine: str, words: str, recall: Recall, seen: Spate, plain: bool) -> Iterator[Figure]:
    entries = recall.ledger()
    first, due_at = connected(entries), seen.due_at
    answers = seen.answer_seconds
    delays = [
        at - due_at[stream]
        for stream, each in first.items()
        if stream in due_at and (at := each.answered_at) is not None
    ]
    refused = len(seen.samples) - len(seen.accepted)
    yield _count(engine, words, "not acknowledged", refused)
    if answers:
        yield Figure(
            scenario="spike", engine=engine, figure=f"slowest acknowledgement, {words}",
            value=max(answers), unit="s", goal=Goal("≤", 1.5), samples=spread(answers),
            note=f"p50 {percentile(answers, 50):.3f}, p99 {percentile(answers, 99):.3f} s",
        )  # fmt: skip
    if delays:
        yield Figure(
            scenario="spike", engine=engine, figure=f"delivery to connected, max, {words}",
            value=max(delays), unit="s", goal=Goal("≤", 15.0 if plain else WINDOW),
            samples=spread(delays),
            note=f"p50 {percentile(delays, 50):.1f}, p99 {percentile(delays, 99):.1f} s; "
            f"{len(entries) / len(first):.2f} requests a connect",
        )  # fmt: skip
    yield _count(engine, words, "duplicates", duplicates(entries))
    yield _count(engine, words, "lost", lost(seen.accepted, entries))


def _count(engine: str, words: str, what: str, value: int) -> Figure:
    return Figure(
        scenario="spike", engine=engine, figure=f"{what}, {words}", value=value,
        goal=Goal("=", 0),
    )  # fmt: skip
