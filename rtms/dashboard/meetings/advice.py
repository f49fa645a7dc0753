"""What a meeting's state means and what to do about it, in the words of a page that has buttons.
Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models import Reason, State
from rtms.dashboard.meetings.answer_text import plainly
from rtms.dashboard.state_filters import is_joining, why
from rtms.zoom.events import NOT_AUTHENTICATED, is_fault

_TIMED_OUT = 11  # Zoom's stop reason: nobody connected in time

Tone = Literal["good", "bad", "warn", "calm"]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What somebody who is on call reads first."""

    what: str
    todo: str
    tone: Tone


_ADVICE: dict[str, tuple[str, str, Tone]] = {
    State.PENDING: (
        "The stream is being connected.",
        "Nothing to do for a minute. If it stays so, nobody is connecting: the overview says "
        "which processes are alive.",
        "warn",
    ),
    State.CONNECTED: ("Recall has the stream and is recording it.", "Nothing to do.", "good"),
    "joining": ("Recall has the stream and is joining it.", "Nothing to do.", "good"),
    State.ENDED: (
        "The stream is over, and its recording is not ready yet.",
        "Wait: Recall is asked again and again for a day. Refresh asks it now.",
        "calm",
    ),
    State.DONE: ("The meeting is over, and its recording has reached an end.", "", "good"),
    Reason.REFUSED: (
        "Recall refused the stream, and would refuse it again.",
        "Mend what the error below names. Then, if the meeting is still on, press Retry.",
        "bad",
    ),
    Reason.WINDOW_EXPIRED: (
        "Recall was not reached, or did not take the stream, while Zoom was waiting.",
        "If the meeting is still on, press Retry at once. Whether Zoom still waits, nobody can "
        "know beforehand.",
        "bad",
    ),
    Reason.RECALL_FAILED: (
        "Recall had the stream, and no recording will come of it.",
        "Ask Recall's support, with the Recall id below. Refresh asks Recall once more.",
        "bad",
    ),
    Reason.STOPPED_FIRST: (
        "The stream was over before it could be connected.",
        "Nothing to do.",
        "calm",
    ),
    Reason.UNSUPPORTED: (
        "A stream of one of Zoom's products that Recall does not connect.",
        "Nothing to do, or take this product's events out of the app's subscription at Zoom.",
        "calm",
    ),
    Reason.NOT_WANTED: (
        "RECORD_STREAMS excludes this stream.",
        "Nothing to do. If such streams should be recorded, change RECORD_STREAMS for the next "
        "meetings.",
        "calm",
    ),
}
_SUPERSEDED = Advice(
    what="Zoom's media server failed over, and a newer connection took this one's place.",
    todo="Nothing to do: what was recorded until then is followed like any other recording.",
    tone="calm",
)
_WRONG_CREDENTIALS = (
    "Zoom refused the join signature: ZOOM_CLIENT_ID or ZOOM_CLIENT_SECRET is wrong, and every "
    "meeting will end like this. Nearly always they are the development credentials while the "
    "user added the production app, or the other way round. Copy both from the same place, and "
    "restart the server."
)
_NEVER_REACHED = (
    "Zoom waited, and Recall, which had accepted the stream, did not reach it in time. Ask "
    "Recall's support, with the Recall id below."
)

_TRIED_AFTER_THE_END = Advice(
    what="The stream is over, and Recall is asked once more whether it has it.",
    todo="Nothing to do. Most likely Recall has nothing of it; within a minute or two it is known.",
    tone="warn",
)
_RETRIED_WHILE_ON = (Reason.REFUSED, Reason.WINDOW_EXPIRED)
_OVER = (
    "The stream is over, so this meeting cannot be had again. Mend what the error below names, for "
    "the next one."
)
# Where the texts of the server name a command, a page has a button.
_COMMANDS = {
    r"`flask (?:--app app )?meetings refresh(?: \d+)?`": "Refresh",
    r"`flask (?:--app app )?meetings retry(?: \d+)?`": "Retry",
    r"`flask (?:--app app )?meetings list`": "The list of meetings",
}


def advise(row: Mapping[str, Any], *, over: bool = False, plays: bool = False) -> Advice:
    """Say what a row means and what to do about it.

    Args:
        row: of `meeting_direct_connects`.
        over: whether its stream is too old to be on, though Zoom told of no stop.
        plays: whether the page has a recording that can be played.
    """
    stop = row["stop_reason"]
    if stop == NOT_AUTHENTICATED:
        return Advice(
            what="Zoom ended the stream: authentication failure (reason 18).",
            todo=_WRONG_CREDENTIALS,
            tone="bad",
        )
    if row["superseded_by"] is not None and row["state"] == State.ENDED:
        return _SUPERSEDED
    if row["reason"] == Reason.UNSUPPORTED:
        what = f"This is {why(row['reason'], row['product'])}, which Recall does not connect."
        return Advice(what=what, todo=_ADVICE[Reason.UNSUPPORTED][1], tone="calm")
    if row["state"] == State.DONE and plays:
        return Advice(what="The meeting is over, and its recording is ready.", todo="", tone="good")
    over = over or row["stopped_at"] is not None
    if row["state"] == State.PENDING and over:
        return _TRIED_AFTER_THE_END
    what, todo, tone = _ADVICE[_heading(row)]
    if stop == _TIMED_OUT and row["recall_id"] is not None:
        return Advice(what=f"{what} Zoom ended it: reason 11.", todo=_NEVER_REACHED, tone="bad")
    if row["state"] == State.FAILED and over and row["reason"] in _RETRIED_WHILE_ON:
        return Advice(what=what, todo=_OVER, tone=tone)
    if row["state"] == State.ENDED and is_fault(stop):
        todo = f"Something broke: there may be little or nothing. {todo}"
        tone = "warn"
    return Advice(what=what, todo=todo, tone=tone)


def _heading(row: Mapping[str, Any]) -> str:
    if row["state"] == State.CONNECTED and is_joining(row):
        return "joining"
    heading: str = row["reason"] or row["state"]
    return heading


def for_pages(text: str) -> str:
    """A text of the server's, with the page's buttons in place of the commands, and what Recall
    answered in words."""
    text = plainly(text)
    for command, button in _COMMANDS.items():
        text = re.sub(command, button, text)
    return text
