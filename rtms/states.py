"""Explains each state and reason of a meeting, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from models import Product, Reason, State
from rtms.stream_gap import NOT_RESTARTED, Restarts
from rtms.zoom.stop_reasons import NOT_AUTHENTICATED, TIMED_OUT, is_fault

# Zoom ends every meeting by then, so an older row is over even if its stop never arrived.
LONGEST_MEETING = timedelta(hours=30)
# Recall's statuses of a direct connect that does not record yet.
JOINING = ("connecting", "joining_call")

Tone = Literal["good", "bad", "warn", "calm"]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a state or reason means. Commands in the texts are between backticks."""

    what: str
    todo: str
    tone: Tone
    short: str = ""  # why a row failed or was skipped, in a few words


EXPLANATIONS: dict[str, Explanation] = {
    State.PENDING: Explanation(
        what="The stream is being connected, or waits for its next try.",
        todo="Nothing to do for a minute. If it stays pending, `flask doctor` says why.",
        tone="warn",
    ),
    State.CONNECTED: Explanation(
        what="Recall has the stream and is recording it.", todo="Nothing to do.", tone="good"
    ),
    State.ENDED: Explanation(
        what="The stream is over, and its recording is not ready yet.",
        todo="Wait: Recall is asked again and again for a day. `flask meetings refresh` asks now.",
        tone="calm",
    ),
    State.DONE: Explanation(
        what="The meeting is over, and each of its recordings is ready or has failed.",
        todo="",
        tone="good",
    ),
    Reason.REFUSED: Explanation(
        short="refused by Recall",
        what="Recall refused the stream, and would refuse it again.",
        todo="Fix what the error names. Then, if the meeting is still on, use "
        "`flask meetings retry`.",
        tone="bad",
    ),
    Reason.WINDOW_EXPIRED: Explanation(
        short="not connected in time",
        what="Recall was not reached, or did not take the stream, while Zoom was waiting.",
        todo="If the meeting is still on, use `flask meetings retry` at once: Zoom may still wait.",
        tone="bad",
    ),
    Reason.RECALL_FAILED: Explanation(
        short="no recording at Recall",
        what="Recall had the stream, but there will be no recording.",
        todo="Ask Recall's support, and quote the Recall id. `flask meetings refresh` asks Recall "
        "once more.",
        tone="bad",
    ),
    Reason.STOPPED_FIRST: Explanation(
        short="over before it was connected",
        what="The stream was over before it could be connected.",
        todo="Nothing to do.",
        tone="calm",
    ),
    Reason.UNSUPPORTED: Explanation(
        short="a stream of a product that Recall does not connect",
        what="This is a stream of a product that Recall does not connect: a Video SDK session, "
        "Contact Center or Phone.",
        todo="Nothing to do, or take this product's events out of the app's subscription at Zoom.",
        tone="calm",
    ),
    Reason.NOT_WANTED: Explanation(
        short="excluded by RECORD_STREAMS",
        what="RECORD_STREAMS excludes this stream.",
        todo="Nothing to do. If such streams should be recorded, change RECORD_STREAMS for the "
        "next meetings.",
        tone="calm",
    ),
}
# Until it is fixed, no meeting is recorded.
UNAUTHENTICATED = Explanation(
    short="Zoom refused the join signature (reason 18)",
    what="Zoom refused the join signature (stop reason 18, authentication failure), and will "
    "refuse every other.",
    todo="ZOOM_CLIENT_ID or ZOOM_CLIENT_SECRET is wrong: usually they are the development app's "
    "beside the production app, or the other way round. Copy both from one place, and restart the "
    "server.",
    tone="bad",
)
_SUPERSEDED = Explanation(
    what="Zoom's media server failed over, or the same user's next stream began, and a newer "
    "connection took this one's place.",
    todo="Nothing to do: what was recorded until then is followed like any other recording.",
    tone="calm",
)
_TRIED_AFTER_THE_END = Explanation(
    what="The stream is over, and Recall is asked once more whether it has it.",
    todo="Nothing to do. Most likely Recall does not have it. The answer comes in a minute or two.",
    tone="warn",
)
_LOST = "The meeting is over and was not recorded. Fix what the error names before the next one."
_NEVER_REACHED = (
    "Zoom waited, but Recall, which had accepted the stream, did not connect in time. Ask Recall's "
    "support, and quote the Recall id."
)
_UNSUPPORTED = {
    Product.SESSION: "a Video SDK session",
    Product.CONTACT_CENTER: "a Contact Center stream",
    Product.PHONE: "a Phone stream",
}


def explain(
    row: Mapping[str, Any], now: datetime, restarts: Restarts = NOT_RESTARTED
) -> Explanation:
    """Return what a row of `meeting_direct_connects` means, and what to do about it.

    Args:
        restarts: which row goes on from this one, where that was read; without it, the row that
            `restarted_as` names is taken to go on.
    """
    stop, state, reason = row["stop_reason"], row["state"], row["reason"]
    if row["restarted_as"] is not None:
        return _explain_restarted(row, restarts)
    if stop == NOT_AUTHENTICATED:
        return UNAUTHENTICATED
    if row["superseded_by"] is not None and state == State.ENDED:
        return _SUPERSEDED
    if state == State.PENDING and is_over(row, now):
        return _TRIED_AFTER_THE_END
    found = EXPLANATIONS[reason or state]
    if reason == Reason.UNSUPPORTED and row["product"] in _UNSUPPORTED:
        short = _UNSUPPORTED[row["product"]]
        return replace(found, short=short, what=f"This is {short}, which Recall does not connect.")
    if state == State.CONNECTED and row["status"] in JOINING:
        found = replace(found, what="Recall has the stream and is joining it.")
    if stop == TIMED_OUT and row["recall_id"] is not None:
        what = f"{found.what} Zoom ended it: reason 11."
        return replace(found, what=what, todo=_NEVER_REACHED, tone="bad")
    if reason in (Reason.REFUSED, Reason.WINDOW_EXPIRED) and is_over(row, now):
        return replace(found, todo=_LOST)
    if state == State.ENDED and is_fault(stop):
        todo = f"Something broke, so the recording may be short or missing. {found.todo}"
        return replace(found, todo=todo, tone="warn")
    return found


def _explain_restarted(row: Mapping[str, Any], restarts: Restarts) -> Explanation:
    newer = restarts.continued_in
    id = newer.id if newer else row["restarted_as"]
    if newer and newer.has_failed:
        return Explanation(
            what=f"The stream was lost. It was started again as meeting {id}, which failed too.",
            todo=f"See meeting {id}, which says why, and what to do.",
            tone="bad",
        )
    if row["state"] == State.DONE:
        return Explanation(
            what="This stream is over, and each of its recordings is ready or has failed. The rest "
            f"is in meeting {id}.",
            todo="",
            tone="good",
        )
    return Explanation(
        what=f"The stream was lost, and was started again as meeting {id}.",
        todo=f"Nothing to do here: meeting {id} has the rest.",
        tone="warn",
    )


def is_over(row: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a row's stream must be over."""
    return row["stopped_at"] is not None or row["received_at"] < now - LONGEST_MEETING


def in_short(reason: str, product: str) -> str:
    """Return why a row failed or was skipped, in a few words."""
    if reason == Reason.UNSUPPORTED and product in _UNSUPPORTED:
        return _UNSUPPORTED[Product(product)]
    return EXPLANATIONS[reason].short
