"""What a line of the log looks like."""

from __future__ import annotations

import pytest
import structlog

from rtms.logs import _as_text

MOMENT = "2026-11-22T10:00:00.123456Z"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"row": 1, "stream": "609340fb2a79", "outcome": "accepted"},
        {"detail": "with spaces", "tracking_id": "v=2.0;clid=us04", "quote": 'a"b', "apos": "a'b"},
        {"lines": "a\r\n2026-11-22T10:00:00Z [info     ] connected"},
        {"number": 1.5, "of": [1, "two"], "error": ValueError("no")},
        {"empty": ""},
        {"exception": "Traceback (most recent call last):\nValueError: no"},
    ],
)
@pytest.mark.parametrize("event", ["connected", "an event with a name that is longer than that"])
def test_a_line_is_what_structlog_writes(event: str, more: dict[str, object]) -> None:
    line = {"timestamp": MOMENT, "level": "info", "event": event, **more}
    theirs = structlog.dev.ConsoleRenderer(colors=False)

    assert _as_text(None, "info", dict(line)) == theirs(None, "info", dict(line))


def test_nothing_in_a_value_reaches_the_terminal_as_a_command() -> None:
    line = {"timestamp": MOMENT, "level": "info", "event": "connected", "said": "\x1b[2J\u2028"}

    assert "said='\\x1b[2J\\u2028'" in _as_text(None, "info", line)
