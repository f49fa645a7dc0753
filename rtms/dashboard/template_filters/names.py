"""Template filters for the names of meetings, and for ids that wrap at the right places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from models import Product
from rtms.dashboard.blueprint import blueprint
from rtms.text import shown, typed

# Equals signs at the end of an id, with a few characters before them.
_ENDING = re.compile(r"[^\s=]{0,4}=+$")
# A word of an event's name, with the separator after it.
_WORD = re.compile(r"[^._]*[._]+|[^._]+")
# As _ENDING, within JSON and with what closes the string.
_ENDING_IN_JSON = re.compile(r'([A-Za-z0-9+/_-]{1,4}={1,2}"?,?)')

PRODUCTS: dict[str, str] = {
    Product.WEBINAR: "webinar",
    Product.SESSION: "session",
    Product.CONTACT_CENTER: "contact center",
    Product.PHONE: "phone",
}


def topic_of(row: Mapping[str, Any]) -> str | None:
    """Return the topic of a row's meeting, fit for a page; None if it is not known."""
    topic = row.get("topic")
    return shown(topic) if topic else None


@blueprint.app_template_filter()
def ident(id: str) -> Markup:
    """Format an id. A long one may wrap, but its equals signs never stand alone. It is isolated,
    because it may contain marks that change the direction of text."""
    ending = _ENDING.search(id)
    if ending is None:
        return Markup("<bdi>{}</bdi>").format(id)
    return Markup('<bdi>{}<span class="nowrap">{}</span></bdi>').format(
        id[: ending.start()], ending[0]
    )


@blueprint.app_template_filter()
def event_name(name: str) -> Markup:
    """Format the name of an event, which wraps only between its words."""
    return Markup("<bdi>{}</bdi>").format(Markup("<wbr>").join(_WORD.findall(name)))


@blueprint.app_template_filter()
def zoom_name(row: Mapping[str, Any]) -> Markup:
    """Format Zoom's name of a row's meeting: its number, else its UUID; and its product, unless
    that is a meeting."""
    product = PRODUCTS.get(row["product"])
    name = ident(row["meeting_id"] or row["meeting_uuid"])
    return Markup("{} {}").format(product, name) if product else name


@blueprint.app_template_filter()
def titled(row: Mapping[str, Any]) -> Markup:
    """Format the topic of a row's meeting, else Zoom's name."""
    topic = topic_of(row)
    return Markup("<bdi>{}</bdi>").format(topic) if topic else zoom_name(row)


@blueprint.app_template_filter()
def fully_named(row: Mapping[str, Any]) -> Markup:
    """Format the topic of a row's meeting and Zoom's name, in one line."""
    if not topic_of(row):
        return zoom_name(row)
    return Markup('{} <span class="muted">{}</span>').format(titled(row), zoom_name(row))


@blueprint.app_template_filter()
def plain_title(row: Mapping[str, Any]) -> str:
    """Return the topic, else the number or UUID, as plain text for the title of a page."""
    return topic_of(row) or typed(row["meeting_id"] or row["meeting_uuid"])


@blueprint.app_template_filter()
def identifiers(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the ids of a row's meeting and its people, with labels. Each id finds the meeting."""
    named = {
        "Number": row["meeting_id"],
        "UUID": row["meeting_uuid"],
        "Host": row["host_id"],
        "Operator": row["operator_id"],
        "Account": row["account_id"],
    }
    return [(label, id) for label, id in named.items() if id]


@blueprint.app_template_filter()
def breakable(text: str) -> Markup:
    """Format JSON whose ids may wrap, but not before their equals signs."""
    return Markup("").join(
        Markup('<span class="nowrap">{}</span>').format(part) if number % 2 else escape(part)
        for number, part in enumerate(_ENDING_IN_JSON.split(text))
    )
