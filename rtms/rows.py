"""Rows of the database as dictionaries and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any


def as_dicts(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return result rows as dictionaries."""
    return [dict(row._mapping) for row in rows]


def as_json(value: object) -> str:
    """Return a value that JSON has no form for: times as ISO 8601 in UTC. For `json.dumps`.

    Raises:
        TypeError: it is no time.
    """
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form here")
