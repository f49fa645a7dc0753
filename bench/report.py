"""The results: the figures, a table for people and a JSON file for programs."""

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
    """The goal of a figure: at least, at most or exactly a value."""

    kind: Literal["≥", "≤", "="]
    value: float

    def reached(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        if self.kind == "=":
            return value == self.value
        return value >= self.value if self.kind == "≥" else value <= self.value

    def __str__(self) -> str:
        return f"{self.kind} {self.value:,g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A line of the table. `engine` is the name of an engine, `quickstart`, or `-`."""

    scenario: str
    engine: str
    figure: str
    value: float | None  # None: not measured; `note` says why
    unit: str = ""
    goal: Goal | None = None
    note: str = ""
    samples: dict[str, float] = field(default_factory=dict)  # percentiles, in the same unit

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal. No value reaches no goal."""
        if self.goal is None:
            return None
        return self.value is not None and self.goal.reached(self.value)


def number(value: float | None) -> str:
    """Format a value with three significant digits, or a whole number with all its digits."""
    if value is None:
        return "—"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) >= 1 else 3}f}" if abs(value) < 100 else f"{value:.1f}"


def as_table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table, with notes below the lines."""
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
    """Print the table and the number of goals reached."""
    console.print(as_table(figures))
    judged = [each.reached for each in figures if each.reached is not None]
    console.print(f"{sum(judged)} of {len(judged)} goals reached.")


def write(path: Path, head: dict[str, Any], figures: Sequence[Figure]) -> None:
    """Write everything as JSON, atomically."""
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
