"""One module a scenario, each with NAME, ABOUT, ENGINES and `run(bench, engine)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.databases import ENGINES
from bench.report import Figure
from bench.scenarios import (
    ack,
    bad_recall,
    cost,
    footprint,
    history,
    idle,
    rate_limit,
    scale,
    spike,
)
from bench.servers import Bench

__all__ = ["SCENARIOS", "Scenario"]


@dataclass(frozen=True)
class Scenario:
    """What is measured: on each of its engines in turn, and then, once, on others beside."""

    name: str
    about: str
    run: Callable[[Bench, str], Iterator[Figure]]  # the bench and an engine
    engines: tuple[str, ...] = ENGINES
    beside: Callable[[Bench], Iterator[Figure]] | None = None


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("ack", "Durable acknowledgements, beside an empty Flask route's.", ack.run),
        Scenario(
            "bad-recall",
            "Acknowledgements while Recall is slow, away or silent.",
            bad_recall.run,
            beside=bad_recall.beside,
        ),
        Scenario("spike", "2,000 meetings that start in the same second.", spike.run),
        Scenario(
            "rate-limit",
            "150 meetings in a second, and a Recall that takes 60 a minute.",
            rate_limit.run,
            beside=rate_limit.beside,
        ),
        Scenario(
            "idle",
            "One meeting at a time: from the delivery to Recall's door.",
            idle.run,
            beside=idle.beside,
        ),
        Scenario("cost", "What a delivery and a connect cost of a core.", cost.run),
        Scenario("scale", "One, two and four workers; eight servers.", scale.run, ("postgresql",)),
        Scenario("history", "A million stored meetings, beside a thousand.", history.run),
        Scenario(
            "footprint",
            "Memory, start-up, bytes and dependencies.",
            footprint.run,
            beside=footprint.beside,
        ),
    )
}
