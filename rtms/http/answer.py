"""An HTTP answer of an API: its body, and how long it asks to wait."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from rtms.text import shown
from rtms.text_breaks import cut

_MAX_TEXT = 500  # characters of an answer that are kept to explain a failure
_MAX_RETRY_AFTER = 3600.0  # seconds
DEFAULT_RETRY_AFTER = 2.0  # seconds, where a 429 names no time


class NoAnswer(Exception):
    """An answer is too slow or too large."""


class HttpAnswer:
    """An answer that has been read to its end."""

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    @classmethod
    def read(cls, response: requests.Response, *, give_up_at: float, most: int) -> HttpAnswer:
        """Read a streamed response.

        Args:
            give_up_at: on the monotonic clock, in seconds.
            most: bytes.

        Raises:
            NoAnswer: it is too slow or too large.
            one of `NETWORK_ERRORS`: the connection broke.
        """
        content = b""
        # One read is one receive: a slow body cannot hold the thread past the deadline.
        while chunk := response.raw.read1(65536, decode_content=True):
            content += chunk
            if len(content) > most:
                raise NoAnswer("the answer is too large")
            if time.monotonic() > give_up_at:
                raise NoAnswer("the answer arrives too slowly")
        return cls(response.status_code, response.headers, content)

    def json(self) -> dict[str, Any] | None:
        """Return the body; None where it is not a JSON object."""
        try:
            body = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def text(self, hide: tuple[str, ...]) -> str:
        """Return the body as one short line without the secrets to hide."""
        text = self.content.decode("utf-8", "replace")
        for secret in filter(None, hide):
            text = text.replace(secret, "[hidden]")
        text = shown(text[: 16 * _MAX_TEXT], 16 * _MAX_TEXT) or ""
        return text if len(text) <= _MAX_TEXT else f"{cut(text, _MAX_TEXT)}…"

    def retry_after(self) -> float | None:
        """Return the seconds of `Retry-After`, which has either seconds or an HTTP date."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), _MAX_RETRY_AFTER)
        moment = _http_date(text)
        if moment is None:
            return None
        # Take both dates from the API's clock if possible.
        asked_at = _http_date(self.headers.get("Date", "")) or datetime.now(UTC)
        return min(max((moment - asked_at).total_seconds(), 0.0), _MAX_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
