"""What the documents promise is what the program reads."""

from __future__ import annotations

import re

from config import ROOT, variables


def test_every_variable_has_a_line_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE)) == variables()


def test_every_variable_has_a_row_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", readme, re.MULTILINE)) == variables()


def test_every_room_is_in_the_picture() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.name for path in (ROOT / "rtms").glob("*.py")} - {"__init__.py", "clock.py"}
    missing = {room for room in rooms if f"`rtms/{room}`" not in picture}
    assert missing == set()
