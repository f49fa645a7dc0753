"""Findings on a screen, or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtms.doctor.finding import Finding, Grade
from rtms.text import shown

_STYLES = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAILURE: "bold red"}
_ABOUT_WIDTH = 14  # characters


class Screen:
    """Prints findings as they come. Colours only where a terminal shows them (and no NO_COLOR)."""

    def __init__(self) -> None:
        # What others say is text, never markup.
        self._console = Console(markup=False, highlight=False, emoji=False)

    def show(self, finding: Finding) -> None:
        """Print one finding."""
        row = Table.grid(padding=(0, 1))
        row.add_column(width=len(Grade.WARNING), no_wrap=True)
        row.add_column(width=_ABOUT_WIDTH, no_wrap=True)
        row.add_column(overflow="fold")
        text = Text(_line(finding.found))
        if finding.next_step:
            text.append(f"\n→ {_line(finding.next_step)}", style="bold")
        row.add_row(Text(finding.grade, _STYLES[finding.grade]), Text(finding.about), text)
        self._console.print(row)

    def sum_up(self, findings: Sequence[Finding]) -> None:
        """Print how many there were of each kind."""
        count = Counter(finding.grade for finding in findings)
        words = [
            f"{count[Grade.FAILURE]} failed" if count[Grade.FAILURE] else "Nothing failed",
            f"{count[Grade.WARNING]} to look after",
            f"{count[Grade.OK]} fine",
        ]
        worst = Grade.FAILURE if count[Grade.FAILURE] else Grade.OK
        self._console.print(Text(f"\n{', '.join(words)}.", _STYLES[worst]))


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for scripts: `ok` is whether nothing failed."""
    return {
        "ok": not any(finding.grade == Grade.FAILURE for finding in findings),
        "findings": [
            {
                "about": finding.about,
                "grade": str(finding.grade),
                "found": finding.found,
                "next_step": finding.next_step,
            }
            for finding in findings
        ],
    }


def _line(text: str) -> str:
    return shown(text, len(text)) or ""
