"""Template filters for the rows of the lists and the parts of a transcript."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from flask import url_for
from markupsafe import Markup, escape

from models import State
from rtms import clock
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.meetings.answer_text import plain_text
from rtms.dashboard.template_filters.amounts import duration
from rtms.db.database import AnyRow

blueprint.add_app_template_filter(plain_text)
_TONES = {"accepted": "good", "rejected": "bad", "unknown": "warn"}


@blueprint.app_template_filter()
def listed(at: datetime) -> Markup:
    """Format a time in a column whose heading says UTC."""
    at = at.astimezone(UTC)
    iso = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(iso, f"{at:%Y-%m-%d %H:%M:%S}")


@blueprint.app_template_filter()
def by_stream(rows: Sequence[AnyRow], is_folded: bool) -> list[list[AnyRow]]:
    """Group the events of a page: consecutive ones of a stream together if they are to be
    collapsed."""

    def stream(row: AnyRow) -> Any:
        return (is_folded and row.rtms_stream_id) or row.id

    return [list(group) for _, group in groupby(rows, stream)]


@blueprint.app_template_filter()
def meeting_links(text: str) -> Markup:
    """Format the server's own text with a link for each `meeting 12` in it."""
    shown = Markup("")
    for number, part in enumerate(re.split(r"\bmeeting ([0-9]+)", text)):
        if number % 2:
            href = url_for("dashboard.meeting", id=int(part))
            shown += Markup('<a href="{}">meeting {}</a>').format(href, part)
        else:
            shown += escape(part)
    return shown


@blueprint.app_template_filter()
def connected_after(row: AnyRow) -> str:
    """Format how long after the delivery a stream was connected."""
    if row.connected_at is None:
        return "–"
    return duration(max((row.connected_at - row.received_at).total_seconds(), 0.0))


@blueprint.app_template_filter()
def lasted(row: AnyRow) -> str:
    """Format how long a stream lasted, or has lasted so far."""
    if row.connected_at is None:
        return "–"
    if row.stopped_at is None:
        if row.state != State.CONNECTED:
            return "–"
        return f"{duration((clock.now() - row.connected_at).total_seconds())} so far"
    return duration(max((row.stopped_at - row.connected_at).total_seconds(), 0.0))


@blueprint.app_template_filter()
def outcome(text: str) -> Markup:
    """Format an event's outcome: a word and the reason."""
    word, _, why = text.partition(": ")
    tone = _TONES.get(word, "plain")
    label = Markup('<span class="badge badge-{}"><bdi>{}</bdi></span>').format(tone, word)
    return Markup("{} <bdi>{}</bdi>").format(label, why) if why else label


@blueprint.app_template_filter("clock")
def position(seconds: float) -> str:
    """Format a position in a recording as players show it: 1:05, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@blueprint.app_template_test("moment")
def is_moment(value: Any) -> bool:
    """Return whether a value is a time."""
    return isinstance(value, datetime)
