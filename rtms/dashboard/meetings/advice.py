"""What a meeting's state means and what to do, on a page that has buttons. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from models import State
from rtms.dashboard.meetings.answer_text import plain_text
from rtms.states import EXPLANATIONS, Explanation, explain
from rtms.stream_gap import NOT_RESTARTED, Restarts

# The buttons that replace the commands in the server's texts.
_COMMANDS = {
    r"`flask meetings refresh(?: \d+)?`": "Refresh",
    r"`flask meetings restart(?: \d+)?`": "Record the rest",
    r"`flask meetings retry(?: \d+)?`": "Retry",
    r"`flask meetings list`": "The list of meetings",
    r"`flask doctor`": "the overview",
}


def advise(
    row: Mapping[str, Any],
    now: datetime,
    *,
    plays: bool = False,
    restarts: Restarts = NOT_RESTARTED,
) -> Explanation:
    """Return what a row of `meeting_direct_connects` means and what to do about it.

    Args:
        plays: whether the page has a recording to play.
        restarts: which row goes on from this one, where that was read.
    """
    found = explain(row, now, restarts)
    if plays and found is EXPLANATIONS[State.DONE]:
        return replace(found, what="The meeting is over, and its recording is ready.")
    return replace(found, todo=for_pages(found.todo))


def for_pages(text: str) -> str:
    """Return one of the server's texts with buttons in place of commands, and with Recall's answer
    as plain text."""
    text = plain_text(text)
    for command, button in _COMMANDS.items():
        text = re.sub(command, button, text)
    return text
