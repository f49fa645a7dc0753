"""What every webhook has in common: a JSON body that is an event, and a proof of whose it is."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DEPTH = 32  # levels; Zoom's and Recall's own bodies have up to five


class BadSignature(Exception):
    """The delivery does not prove whom it comes from. The message says what is wrong with it and
    what to do."""


class BadBody(Exception):
    """The body is no event. The message says what is wrong with it."""


def decode_body(raw: bytes) -> dict[str, Any]:
    """Read a delivery's body.

    Raises:
        BadBody: it is not JSON, not an object, or names no event.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise BadBody("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadBody("The body is not a JSON object.")
    # What opens no more brackets than that cannot be deeper, and Zoom's bodies never do.
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
    if not math.isfinite(number):  # 1e999, which could not be written down as JSON again
        raise ValueError(f"{text} is not a finite number")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
