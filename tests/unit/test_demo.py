"""How the demo prints its lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sandbox import demo


def test_only_the_time_of_a_line_is_dim_and_what_does_not_fit_goes_below_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=40)
    monkeypatch.setattr(demo, "console", console)
    demo.say_with_time("Meeting 81111111111 starts: Zoom delivers it four times. 200.")
    first, *more = out.getvalue().splitlines()
    time, dim, words = first.partition("\x1b[0m")
    assert (time[:4], len(time), dim) == ("\x1b[2m", len("\x1b[2m07:31:28  "), "\x1b[0m")
    assert words.rstrip() == "Meeting 81111111111 starts:"
    assert [line.rstrip() for line in more] == [
        " " * 10 + "Zoom delivers it four times.",
        " " * 10 + "200.",
    ]
