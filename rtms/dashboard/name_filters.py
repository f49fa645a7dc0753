"""What a meeting is called on the pages, and ids that break where they may: filters."""

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
# A word of an event's name, with the mark that ends it.
_WORD = re.compile(r"[^._]*[._]+|[^._]+")
# The same within JSON, with what closes the string.
_ENDING_IN_JSON = re.compile(r'([A-Za-z0-9+/_-]{1,4}={1,2}"?,?)')

PRODUCTS: dict[str, str] = {
    Product.WEBINAR: "webinar",
    Product.SESSION: "session",
    Product.CONTACT_CENTER: "contact center",
    Product.PHONE: "phone",
}


def topic_of(row: Mapping[str, Any]) -> str | None:
    """The name of a row's meeting, fit for a page; None where nobody said it."""
    topic = row.get("topic")
    return shown(topic) if topic else None


@blueprint.app_template_filter()
def ident(id: str) -> Markup:
    """An id. A long one may be broken over lines, but its equals signs never stand alone. What it
    is made of may hold marks that turn text around, which must not reach beyond it."""
    ending = _ENDING.search(id)
    if ending is None:
        return Markup("<bdi>{}</bdi>").format(id)
    return Markup('<bdi>{}<span class="nowrap">{}</span></bdi>').format(
        id[: ending.start()], ending[0]
    )


@blueprint.app_template_filter()
def event_name(name: str) -> Markup:
    """The name of an event, which breaks over lines between its words only."""
    return Markup("<bdi>{}</bdi>").format(Markup("<wbr>").join(_WORD.findall(name)))


@blueprint.app_template_filter()
def called(row: Mapping[str, Any]) -> Markup:
    """What Zoom calls a row's meeting: its number, else its UUID; and its product, if it is no
    meeting."""
    product = PRODUCTS.get(row["product"])
    name = ident(row["meeting_id"] or row["meeting_uuid"])
    return Markup("{} {}").format(product, name) if product else name


@blueprint.app_template_filter()
def titled(row: Mapping[str, Any]) -> Markup:
    """What people call a row's meeting: its topic, else what Zoom calls it."""
    topic = topic_of(row)
    return Markup("<bdi>{}</bdi>").format(topic) if topic else called(row)


@blueprint.app_template_filter()
def fully_named(row: Mapping[str, Any]) -> Markup:
    """Its topic, and what Zoom calls it, in one line."""
    if not topic_of(row):
        return called(row)
    return Markup('{} <span class="muted">{}</span>').format(titled(row), called(row))


@blueprint.app_template_filter()
def plain_title(row: Mapping[str, Any]) -> str:
    """Its topic, else its number or UUID, as text without tags: for the title of a page."""
    return topic_of(row) or typed(row["meeting_id"] or row["meeting_uuid"])


@blueprint.app_template_filter()
def whose(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a meeting is known by, and who has to do with it: labels and ids, each of which finds
    the meeting."""
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
    """JSON whose ids may be broken over lines, but not before their equals signs."""
    return Markup("").join(
        Markup('<span class="nowrap">{}</span>').format(part) if number % 2 else escape(part)
        for number, part in enumerate(_ENDING_IN_JSON.split(text))
    )
