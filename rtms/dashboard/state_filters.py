"""How a row stands, why, and what to do, in the few words of a list: filters of the templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from models import Product, Reason, State
from rtms import clock
from rtms.dashboard.blueprint import blueprint
from rtms.intake.unstreamed_events import LONGEST_MEETING
from rtms.states import REFUSED_BY_ZOOM
from rtms.zoom.events import NOT_AUTHENTICATED

# Why a row failed or was skipped, in the few words that fit beside its state.
REASONS: dict[str, str] = {
    Reason.REFUSED: "refused by Recall",
    Reason.WINDOW_EXPIRED: "not connected in time",
    Reason.RECALL_FAILED: "no recording at Recall",
    Reason.STOPPED_FIRST: "over before it was connected",
    Reason.UNSUPPORTED: "a stream of a product that Recall does not connect",
    Reason.NOT_WANTED: "not wanted",
}
_UNSUPPORTED: dict[str, str] = {
    Product.SESSION: "a Video SDK session",
    Product.CONTACT_CENTER: "a Contact Center stream",
    Product.PHONE: "a Phone stream",
}
_UNAUTHENTICATED = "Zoom refused the join signature (reason 18)"
_TODO: dict[str, str] = {
    Reason.REFUSED: "Mend what Recall names. Then, if the meeting is still on, open it and press "
    "Retry.",
    Reason.WINDOW_EXPIRED: "If the meeting is still on, open it and press Retry at once.",
    Reason.RECALL_FAILED: "Ask Recall's support, with the Recall id on its page.",
}
_TODO_WHEN_OVER: dict[str, str] = {
    Reason.REFUSED: "The meeting is over. Mend what Recall names, for the next one.",
    Reason.WINDOW_EXPIRED: "The meeting is over. See why Recall was not reached, for the next one.",
}
_TODO_UNAUTHENTICATED = "Correct ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET, and restart the server."
# Recall's words for where a connection stands, as far as they are known: an open set.
_AT_RECALL = {
    "connecting": "Recall is joining the stream",
    "joining_call": "Recall is joining the stream",
    "recording": "Recall is recording it",
    "in_call_recording": "Recall is recording it",
    "processing": "Recall is processing it",
}
_SAID_BY_STATE = {State.DONE: ("done",), State.FAILED: ("failed", "fatal")}


@blueprint.app_template_filter()
def badge(row: Mapping[str, Any]) -> Markup:
    """A row's state and, where it has one, the reason in a few words."""
    state, reason = row["state"], row["reason"]
    label = Markup('<span class="badge badge-{0}">{0}</span>').format(state)
    if row.get("stop_reason") == NOT_AUTHENTICATED:
        return Markup('{} <strong class="is-bad">{}</strong>').format(label, _UNAUTHENTICATED)
    if reason is None:
        return label
    return Markup('{} <span class="reason" title="{}">{}</span>').format(
        label, reason, why(reason, row["product"])
    )


def why(reason: str, product: str) -> str:
    """Why a row failed or was skipped, in a few words."""
    if reason == Reason.UNSUPPORTED and product in _UNSUPPORTED:
        return _UNSUPPORTED[product]
    return REASONS.get(reason, reason)


@blueprint.app_template_filter()
def at_recall(row: Mapping[str, Any]) -> Markup:
    """How a connection stands at Recall, where that says more than its state; else nothing."""
    status, code = row["status"], row["sub_code"]
    parts = []
    if status and status not in _SAID_BY_STATE.get(row["state"], ()):
        words = _AT_RECALL.get(status)
        parts.append(escape(words) if words else Markup("Recall: <bdi>{}</bdi>").format(status))
    if code and row["state"] != State.DONE:
        parts.append(Markup("<bdi>{}</bdi>").format(code))
    return Markup(", ").join(parts)


def is_joining(row: Mapping[str, Any]) -> bool:
    """Whether Recall has the stream, and says that it is only about to record it."""
    return _AT_RECALL.get(row["status"] or "") == _AT_RECALL["connecting"]


def is_over(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a row's stream can be on no more."""
    return row["stopped_at"] is not None or row["received_at"] < now - LONGEST_MEETING


@blueprint.app_template_filter()
def todo(row: Mapping[str, Any]) -> str:
    """What to do about a row that failed, in a line; its own page says more."""
    if row["stop_reason"] == NOT_AUTHENTICATED:
        return _TODO_UNAUTHENTICATED
    words = _TODO.get(row["reason"], "")
    return _TODO_WHEN_OVER.get(row["reason"], words) if is_over(row, clock.now()) else words


@blueprint.app_context_processor
def _states() -> dict[str, Any]:
    return {
        "STATES": list(State),
        "REASONS": REASONS,
        "NOT_AUTHENTICATED": NOT_AUTHENTICATED,
        "REFUSED_BY_ZOOM": REFUSED_BY_ZOOM,
    }
