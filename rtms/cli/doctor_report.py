"""Prints the doctor's findings for people, or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rtms.cli import tables
from rtms.cli.layout import hanging, printable
from rtms.doctor.finding import Finding, Grade

_STYLES = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAILURE: "bold red"}
_ABOUT_WIDTH = 14  # characters


class Screen:
    """Prints findings as they come, in colour on a terminal unless NO_COLOR is set."""

    def __init__(self) -> None:
        self._screen = tables.console()
        self._width = tables.screen_width(self._screen)

    def show(self, finding: Finding) -> None:
        """Print one finding."""
        grade = f"{finding.grade:<{len(Grade.WARNING)}} "
        head = [(grade, _STYLES[finding.grade]), (f"{finding.about:<{_ABOUT_WIDTH}} ", "")]
        indent = sum(len(text) for text, _ in head)
        tables.show(self._screen, hanging(head, indent, printable(finding.found), "", self._width))
        if finding.next_step:
            arrow = [(" " * indent + "→ ", "bold")]
            step = printable(finding.next_step)
            tables.show(self._screen, hanging(arrow, indent + 2, step, "bold", self._width))

    def sum_up(self, findings: Sequence[Finding]) -> None:
        """Print how many findings there are of each grade."""
        count = Counter(finding.grade for finding in findings)
        words = [
            f"{count[Grade.FAILURE]} failed" if count[Grade.FAILURE] else "Nothing failed",
            f"{count[Grade.WARNING]} warnings",
            f"{count[Grade.OK]} ok",
        ]
        worst = Grade.FAILURE if count[Grade.FAILURE] else Grade.OK
        tables.show(self._screen, [[], [(f"{', '.join(words)}.", _STYLES[worst])]])


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for scripts. `ok` is true if no check failed."""
    return {
        "ok": not any(finding.grade == Grade.FAILURE for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
