"""How moments, lengths of time and states look on the pages: the filters of the templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from models import Reason, State
from rtms import clock
from rtms.dashboard.blueprint import blueprint

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

# Why a row failed or was skipped, in the few words that fit beside its state.
REASONS: dict[str, str] = {
    Reason.REFUSED: "refused by Recall",
    Reason.WINDOW_EXPIRED: "not connected in time",
    Reason.RECALL_FAILED: "no recording at Recall",
    Reason.STOPPED_FIRST: "over before it was connected",
    Reason.UNSUPPORTED: "a Video SDK session",
    Reason.NOT_WANTED: "not wanted",
}
_TODO: dict[str, str] = {
    Reason.REFUSED: "Mend what Recall names. Then, if the meeting is still on, open it and press "
    "Retry.",
    Reason.WINDOW_EXPIRED: "If the meeting is still on, open it and press Retry at once.",
    Reason.RECALL_FAILED: "Ask Recall's support, with the Recall id on its page.",
}


@blueprint.app_template_filter()
def moment(at: datetime | None) -> Markup:
    """A moment in UTC, to the second; a dash for none."""
    if at is None:
        return _none()
    return _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")


@blueprint.app_template_filter()
def precisely(at: datetime | None) -> Markup:
    """A moment in UTC, to the millisecond; a dash for none."""
    if at is None:
        return _none()
    return _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC")


@blueprint.app_template_filter()
def ago(at: datetime | None) -> Markup:
    """A moment as how long ago it was, with the moment itself for who points at it."""
    if at is None:
        return _none()
    seconds = (clock.now() - at).total_seconds()
    text = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    title = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), title, text)


@blueprint.app_template_filter()
def duration(length: float | timedelta | None) -> str:
    """A length of time (seconds) as one reads it: 40 ms, 1.3 s, 2 min, 3 h 5 min, 4 d."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 2 * _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return _two(seconds // _HOUR, "h", seconds % _HOUR // _MINUTE, "min")
    return _two(seconds // _DAY, "d", seconds % _DAY // _HOUR, "h")


@blueprint.app_template_filter()
def badge(row: Mapping[str, Any]) -> Markup:
    """A row's state and, where it has one, the reason in a few words."""
    state, reason = row["state"], row["reason"]
    label = Markup('<span class="badge badge-{0}">{0}</span>').format(state)
    if reason is None:
        return label
    words = REASONS.get(reason, reason)
    return Markup('{} <span class="reason" title="{}">{}</span>').format(label, reason, words)


@blueprint.app_template_filter()
def todo(row: Mapping[str, Any]) -> str:
    """What to do about a row that failed, in a line; its own page says more."""
    return _TODO.get(row["reason"], "")


@blueprint.app_template_filter()
def prose(text: str | None) -> Markup:
    """Text with what stands between backticks set as code."""
    parts = re.split(r"`([^`]+)`", text or "")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


@blueprint.app_template_filter()
def called(row: Mapping[str, Any]) -> Markup:
    """What people call a row's meeting: its number, else its UUID. What it is made of may hold
    marks that turn the direction of the text, which must not reach beyond it."""
    name = row["meeting_id"] or row["meeting_uuid"]
    product = "" if row["product"] == "meeting" else f"{row['product']} "
    return Markup("{}<bdi>{}</bdi>").format(product, name)


@blueprint.app_template_filter()
def number(value: int) -> str:
    """A count, with its thousands apart."""
    return f"{value:,}"


def plural(count: int, word: str) -> str:
    """A count and its word: 1 meeting, 2 meetings."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


@blueprint.app_context_processor
def _states() -> dict[str, Any]:
    return {"STATES": list(State), "REASONS": REASONS}


def _none() -> Markup:
    return Markup('<span class="muted">–</span>')


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(_iso(at), text)


def _two(most: int, unit: str, rest: int, smaller: str) -> str:
    return f"{most} {unit} {rest} {smaller}" if rest else f"{most} {unit}"
