"""The scenarios, one module each with `run(bench, engine)`."""

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
    """A scenario: `run` for each of its engines, and then `beside` once, for comparison."""

    name: str
    about: str
    run: Callable[[Bench, str], Iterator[Figure]]  # called with the bench and an engine
    engines: tuple[str, ...] = ENGINES
    beside: Callable[[Bench], Iterator[Figure]] | None = None


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("ack", "Durable acknowledgements, compared with an empty Flask route.", ack.run),
        Scenario(
            "bad-recall",
            "Acknowledgements while Recall is slow, down or silent.",
            bad_recall.run,
            beside=bad_recall.beside,
        ),
        Scenario("spike", "2,000 meetings that start in the same second.", spike.run),
        Scenario(
            "rate-limit",
            "150 meetings in a second, while Recall accepts 60 per minute.",
            rate_limit.run,
            beside=rate_limit.beside,
        ),
        Scenario(
            "idle",
            "One meeting at a time: from the delivery to the request to Recall.",
            idle.run,
            beside=idle.beside,
        ),
        Scenario("cost", "The CPU of a delivery and of a connect.", cost.run),
        Scenario("scale", "One, two and four workers; eight servers.", scale.run, ("postgresql",)),
        Scenario("history", "A million stored meetings, compared with a thousand.", history.run),
        Scenario(
            "footprint",
            "Memory, start-up time, size and dependencies.",
            footprint.run,
            beside=footprint.beside,
        ),
    )
}
