"""Converts answers of Recall or of a proxy from JSON or HTML to plain text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

_JSON = re.compile(r'[{\[](?=\s*["{\[\]}])')  # where an object or a list begins
_PUNCTUATION = re.compile(r'[{}\[\]"]+')
_HTML = re.compile(r"<(?:!doctype|html|head|body|center|h1|title)\b", re.IGNORECASE)
_HIDDEN = re.compile(r"<(style|script|head)\b.*?(</\1>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*(?:>|$)")
# Names that add nothing to their value.
_PLAIN = {"detail", "details", "message", "error", "errors", "non_field_errors"}


def plain_text(text: str) -> str:
    """Return a message with the JSON or HTML in it as plain text, even if that is truncated.

    >>> plain_text('Recall answered 400. {"zoom_rtms": ["This field is required."]}')
    'Recall answered 400. zoom_rtms: This field is required.'
    """
    begins = _JSON.search(text)
    if begins:
        return _joined(text[: begins.start()], _plain_json(text[begins.start() :]))
    begins = _HTML.search(text)
    if begins:
        html, end, rest = text[begins.start() :].rpartition("</html>")
        html, rest = (html, rest) if end else (rest, "")
        title = re.search(r"<title>([^<]*)", html, re.IGNORECASE)
        words = title[1] if title else _TAG.sub(" ", _HIDDEN.sub(" ", html))
        return _joined(text[: begins.start()], unescape(words), rest)
    return text


def _plain_json(text: str) -> str:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # truncated
        return _PUNCTUATION.sub("", text).replace(" ,", ",")
    return "; ".join(_phrases(value)).replace(".; ", "; ") + text[end:]


def _phrases(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            inner = "" if key in _PLAIN else key
            yield from _phrases(each, ": ".join(filter(None, (name, inner))))
    elif isinstance(value, list):
        for each in value:
            yield from _phrases(each, name)
    elif value is not None:
        said = value if isinstance(value, str) else json.dumps(value)
        yield f"{name}: {said}" if name else said


def _joined(*parts: str) -> str:
    return " ".join(" ".join(parts).split())
