"""How a row stands, why, and what to do, in the few words of a list: filters of the templates."""

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

# Recall's words for where a connection stands, as far as they are known: an open set.
_AT_RECALL = {
    **dict.fromkeys(JOINING, "Recall is joining the stream"),
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
        return Markup('{} <strong class="is-bad">{}</strong>').format(label, UNAUTHENTICATED.short)
    if reason is None:
        return label
    return Markup('{} <span class="reason" title="{}">{}</span>').format(
        label, reason, in_short(reason, row["product"])
    )


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


@blueprint.app_template_filter()
def todo(row: Mapping[str, Any]) -> str:
    """What to do about a row, in a list; its own page says more."""
    return advise(row, clock.now()).todo


@blueprint.app_context_processor
def _states() -> dict[str, Any]:
    return {
        "EXPLANATIONS": EXPLANATIONS,
        "NOT_AUTHENTICATED": NOT_AUTHENTICATED,
        "UNAUTHENTICATED": UNAUTHENTICATED,
    }
