"""Converts rows of the database to dictionaries and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any


def as_dicts(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return result rows as dictionaries."""
    return [dict(row._mapping) for row in rows]


def as_json(value: object) -> str:
    """Convert a time to ISO 8601 in UTC, as the `default` of `json.dumps`.

    Raises:
        TypeError: the value is not a time.
    """
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form here")
