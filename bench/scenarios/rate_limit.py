"""More meetings at once than Recall accepts: how many are connected within their window."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from bench.ledger import Recall, connected, duplicates
from bench.report import Figure, Goal
from bench.samples import spread
from bench.servers import WORKER_BEGAN, Bench, wait_until
from bench.spates import Spate, spate

COUNT = 150
LIMIT = 60  # creates in a sliding window (Recall: Create Bot)
WINDOW = 60  # seconds of that window, and seconds that Zoom waits for a connection
QUICK_WINDOW = 20
POSSIBLE = 120  # 60 at once, and 60 more when the first leave the sliding window
SETTLING = 2.0  # seconds
LATENCY = 0.1  # seconds
MARGIN = 3.0  # seconds after the last window, for answers in transit


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure two web processes that only receive, and two workers."""
    window = QUICK_WINDOW if bench.quick else WINDOW
    bench.progress(f"rate-limit, {engine}: {COUNT} starts, and then their {window} s")
    # The default, in a full run.
    settings = {"CONNECT_WINDOW_SECONDS": str(window)}
    with ExitStack() as stack:
        recall = stack.enter_context(bench.recall())
        url = bench.databases.fresh(engine)
        server = bench.web(url, recall.url, DISPATCHER="off", **settings)
        address = stack.enter_context(server)
        workers = [stack.enter_context(bench.worker(url, recall.url, **settings)) for _ in range(2)]
        for worker in workers:
            wait_until(partial(worker.has_said, WORKER_BEGAN), "a worker to begin", worker)
        # Nothing is connected before this, which would mislead the server's estimate of the limit.
        recall.reset(latency=LATENCY, limit=(LIMIT, window))
        time.sleep(SETTLING)
        seen = spate([address], COUNT, 1.0)
        time.sleep(max(0.0, seen.samples[-1].due_at + window + MARGIN - time.time()))
        yield from _figures(engine, recall, seen, window, judged=True)


def beside(bench: Bench) -> Iterator[Figure]:
    """Measure the quickstart too, which does not retry, so there is nothing to wait for."""
    why = bench.why_no_quickstart()
    if why:
        yield Figure(
            scenario="rate-limit", engine="quickstart", value=None, note=why,
            figure="connected inside their window",
        )  # fmt: skip
        return
    window = QUICK_WINDOW if bench.quick else WINDOW
    bench.progress("rate-limit, quickstart")
    with bench.recall() as recall, bench.quickstart(recall.url) as address:
        recall.reset(latency=LATENCY, limit=(LIMIT, window))
        seen = spate([address], COUNT, 1.0)
        yield from _figures("quickstart", recall, seen, window, judged=False)


def _figures(
    engine: str, recall: Recall, seen: Spate, window: int, *, judged: bool
) -> Iterator[Figure]:
    entries, due_at = recall.ledger(), seen.due_at
    first = connected(entries)
    # A stream counts as connected when its request arrives, before the latency of the answer.
    delays = [each.arrived_at - due_at[stream] for stream, each in first.items()]
    inside = sum(delay <= window for delay in delays)
    late, last = len(delays) - inside, max(delays, default=0.0)
    statuses = Counter(each.status for each in entries)
    said = ", ".join(f"{count} × {status or 'none'}" for status, count in statuses.items())
    yield Figure(
        scenario="rate-limit", engine=engine, figure="connected inside their window", value=inside,
        unit=f"of {POSSIBLE}", goal=Goal("≥", 117) if judged else None, samples=spread(delays),
        note=f"{COUNT} starts in one second, a window of {window} s, {LIMIT} creates in as many; "
        f"{late} connected later, the last after {last:.2f} s; Recall's answers: {said}",
    )  # fmt: skip
    yield Figure(
        scenario="rate-limit", engine=engine, figure="requests a connect",
        value=len(entries) / len(first) if first else None,
        goal=Goal("≤", 1.5) if judged else None,
    )  # fmt: skip
    yield Figure(
        scenario="rate-limit", engine=engine, figure="duplicates", value=duplicates(entries),
        goal=Goal("=", 0) if judged else None,
    )  # fmt: skip
