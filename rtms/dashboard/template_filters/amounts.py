"""Template filters that format times, durations and counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from markupsafe import Markup, escape

from rtms import clock
from rtms.dashboard.blueprint import blueprint

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@blueprint.app_template_filter()
def moment(at: datetime | None) -> Markup:
    """Format a time in UTC, to the second; None as a dash."""
    if at is None:
        return _none()
    return _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")


@blueprint.app_template_filter()
def precisely(at: datetime | None) -> Markup:
    """Format a time in UTC, to the millisecond; None as a dash."""
    if at is None:
        return _none()
    return _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC")


@blueprint.app_template_filter()
def ago(at: datetime | None) -> Markup:
    """Format a time as how long ago it was, with the time itself as a tooltip."""
    if at is None:
        return _none()
    seconds = (clock.now() - at).total_seconds()
    text = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    title = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), title, text)


@blueprint.app_template_filter()
def duration(length: float | timedelta | None) -> str:
    """Format a duration (seconds): 40 ms, 1.3 s, 2 min, 3 h 5 min, 4 d."""
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
def prose(text: str | None) -> Markup:
    """Format what is between backticks as code."""
    parts = re.split(r"`([^`]+)`", text or "")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


@blueprint.app_template_filter()
def number(value: int) -> str:
    """Format a count with separators for thousands."""
    return f"{value:,}"


def plural(count: int, word: str) -> str:
    """Format a count and its noun: 1 meeting, 2 meetings."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _none() -> Markup:
    return Markup('<span class="muted">–</span>')


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(_iso(at), text)


def _two(most: int, unit: str, rest: int, smaller: str) -> str:
    return f"{most} {unit} {rest} {smaller}" if rest else f"{most} {unit}"
