"""Template filters for a row's state, its reason and what to do, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from models import State
from rtms import clock
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.meetings.advice import advise
from rtms.states import EXPLANATIONS, JOINING, UNAUTHENTICATED, in_short
from rtms.zoom.stop_reasons import NOT_AUTHENTICATED

# Recall's statuses that are known: an open set.
_AT_RECALL = {
    **dict.fromkeys(JOINING, "Recall is joining the stream"),
    "recording": "Recall is recording it",
    "in_call_recording": "Recall is recording it",
    "processing": "Recall is processing it",
}
_SAID_BY_STATE = {State.DONE: ("done",), State.FAILED: ("failed", "fatal")}


@blueprint.app_template_filter()
def badge(row: Mapping[str, Any]) -> Markup:
    """Format a row's state, and its reason if it has one."""
    state, reason = row["state"], row["reason"]
    label = Markup('<span class="badge badge-{0}">{0}</span>').format(state)
    if row.get("stop_reason") == NOT_AUTHENTICATED:
        return Markup('{} <strong class="is-bad">{}</strong>').format(label, UNAUTHENTICATED.short)
    if reason is None:
        return label
    return Markup('{} <span class="reason" title="{}">{}</span>').format(
        label, reason, in_short(reason, row["product"])
    )


@blueprint.app_template_filter()
def at_recall(row: Mapping[str, Any]) -> Markup:
    """Format Recall's status of a row, if it says more than the row's state."""
    status, code = row["status"], row["sub_code"]
    parts = []
    if status and status not in _SAID_BY_STATE.get(row["state"], ()):
        words = _AT_RECALL.get(status)
        parts.append(escape(words) if words else Markup("Recall: <bdi>{}</bdi>").format(status))
    if code and row["state"] != State.DONE:
        parts.append(Markup("<bdi>{}</bdi>").format(code))
    return Markup(", ").join(parts)


@blueprint.app_template_filter()
def todo(row: Mapping[str, Any]) -> str:
    """Return what to do about a row, for a list."""
    return advise(row, clock.now()).todo


@blueprint.app_context_processor
def _states() -> dict[str, Any]:
    return {
        "EXPLANATIONS": EXPLANATIONS,
        "NOT_AUTHENTICATED": NOT_AUTHENTICATED,
        "UNAUTHENTICATED": UNAUTHENTICATED,
    }
