"""Decodes the JSON body of a webhook, and defines the errors of a delivery."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DEPTH = 32  # levels; Zoom's and Recall's own bodies have up to five


class BadSignature(Exception):
    """The delivery's signature is missing or invalid. The message says why, and what to do."""


class BadBody(Exception):
    """The body is not an event. The message says why."""


def decode_body(raw: bytes) -> dict[str, Any]:
    """Read a delivery's body.

    Raises:
        BadBody: it is not JSON, not an object, or has no event name.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise BadBody("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadBody("The body is not a JSON object.")
    # Few brackets cannot be nested deeply. This is quick, and true of Zoom's bodies.
    if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH and _is_deeper(body, _MAX_DEPTH):
        raise BadBody(f"The body is nested more than {_MAX_DEPTH} levels deep.")
    event = body.get("event")
    if not isinstance(event, str) or not 0 < len(event) <= 255 or not event.isprintable():
        raise BadBody("The body names no event: `event` must be a short printable string.")
    return body


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # 1e999, which cannot be written as JSON again
        raise ValueError(f"{text} is not a finite number")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
