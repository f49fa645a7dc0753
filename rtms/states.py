"""What each state and reason of a connection means, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import Reason, State
from rtms.zoom.events import NOT_AUTHENTICATED

# What each state and reason means, and what to do about it.
MEANINGS: dict[str, str] = {
    State.PENDING: "Being connected, by itself. If it stays so, `flask --app app doctor` says why.",
    State.CONNECTED: "Recall has the stream. Nothing to do.",
    State.ENDED: "The stream is over, or a newer connection took its place; what Recall has of it "
    "is being looked up.",
    State.DONE: "Every recording has reached an end.",
    Reason.REFUSED: "Recall said no for good. Mend what the error names, then `meetings retry`.",
    Reason.WINDOW_EXPIRED: "Recall was not reached while Zoom was waiting. If the meeting is still "
    "on, `meetings retry`.",
    Reason.RECALL_FAILED: "Recall says that no recording will come. Ask its support, with the "
    "Recall id.",
    Reason.STOPPED_FIRST: "The stream was over before it could be connected. Nothing to do.",
    Reason.UNSUPPORTED: "A stream of a product that Recall does not connect: a Video SDK session, "
    "Contact Center or Phone. Nothing to do.",
    Reason.NOT_WANTED: "RECORD_STREAMS excludes this stream. Change it if it should be recorded.",
}

# Loud wherever it is shown: until it is mended, no meeting is recorded.
REFUSED_BY_ZOOM = (
    "Zoom refused the join signature (stop reason 18, authentication failure), and will refuse "
    "every other until ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET are right. As a rule they are the "
    "development app's beside the production app's, or the other way round. Copy both from one "
    "place, and restart the server."
)


def meaning(row: Mapping[str, Any]) -> str:
    """Return what a connection's state means, and what to do about it."""
    if row["stop_reason"] == NOT_AUTHENTICATED:
        return REFUSED_BY_ZOOM
    return MEANINGS[row["reason"] or row["state"]]
