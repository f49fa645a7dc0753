"""What a meeting's state means and what to do about it, on a page that has buttons. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from models import State
from rtms.dashboard.meetings.answer_text import plainly
from rtms.states import EXPLANATIONS, Explanation, explain

# Where the texts of the server name a command, a page has a button.
_COMMANDS = {
    r"`flask meetings refresh(?: \d+)?`": "Refresh",
    r"`flask meetings retry(?: \d+)?`": "Retry",
    r"`flask meetings list`": "The list of meetings",
    r"`flask doctor`": "the overview",
}


def advise(row: Mapping[str, Any], now: datetime, *, plays: bool = False) -> Explanation:
    """Return what a row of `meeting_direct_connects` means and what to do about it.

    Args:
        plays: whether the page has a recording that can be played.
    """
    found = explain(row, now)
    if plays and found is EXPLANATIONS[State.DONE]:
        return replace(found, what="The meeting is over, and its recording is ready.")
    return replace(found, todo=for_pages(found.todo))


def for_pages(text: str) -> str:
    """Return a text of the server's with the page's buttons in place of the commands, and with
    what Recall answered in words."""
    text = plainly(text)
    for command, button in _COMMANDS.items():
        text = re.sub(command, button, text)
    return text
