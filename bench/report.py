"""What was measured: the figures, the table for people and the file for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS = ("scenario", "engine", "figure", "value", "unit", "goal", "reached")


@dataclass(frozen=True)
class Goal:
    """What a figure should be: `at least`, `at most` or `exactly` so much."""

    kind: Literal["≥", "≤", "="]
    value: float

    def reached(self, value: float) -> bool:
        """Whether a value does."""
        if self.kind == "=":
            return value == self.value
        return value >= self.value if self.kind == "≥" else value <= self.value

    def __str__(self) -> str:
        return f"{self.kind} {self.value:,g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `engine` is whose it is: an engine's name, `quickstart`, or `-`."""

    scenario: str
    engine: str
    figure: str
    value: float | None  # None: it could not be measured, and `note` says why
    unit: str = ""
    goal: Goal | None = None
    note: str = ""
    samples: dict[str, float] = field(default_factory=dict)  # percentiles, in the same unit

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None where there is none. What was not measured reached nothing."""
        if self.goal is None:
            return None
        return self.value is not None and self.goal.reached(self.value)


def number(value: float | None) -> str:
    """A value with three digits that count, or all of a whole number."""
    if value is None:
        return "—"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) >= 1 else 3}f}" if abs(value) < 100 else f"{value:.1f}"


def as_table(figures: Sequence[Figure]) -> Table:
    """The figures, for people. What a line cannot say stands below it."""
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
    for index in (3, 5):
        table.columns[index].justify = "right"
    last = None
    for each in figures:
        if last not in (None, each.scenario):
            table.add_section()
        last = each.scenario
        table.add_row(
            each.scenario,
            each.engine,
            Text.assemble(each.figure, (f"\n{each.note}" if each.note else "", "dim")),
            number(each.value),
            each.unit,
            str(each.goal or ""),
            _verdict(each.reached),
        )
    return table


def show(console: Console, figures: Sequence[Figure]) -> None:
    """Print the table, and how many goals were reached."""
    console.print(as_table(figures))
    judged = [each.reached for each in figures if each.reached is not None]
    console.print(f"{sum(judged)} of {len(judged)} goals reached.")


def write(path: Path, head: dict[str, Any], figures: Sequence[Figure]) -> None:
    """Write everything as JSON. What is written is whole, or not there."""
    lines = [{**asdict(each), "goal": str(each.goal or ""), "reached": each.reached}
             for each in figures]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    text = json.dumps({**head, "figures": lines}, indent=2, ensure_ascii=False)
    partial.write_text(f"{text}\n", "utf-8")
    partial.replace(path)


def _verdict(reached: bool | None) -> Text:
    if reached is None:
        return Text("")
    return Text("yes", "green") if reached else Text("no", "bold red")
