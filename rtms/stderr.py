"""Formats what a process writes to stderr besides its log (`rtms.logs`). With LOG_FORMAT=json, this
is JSON too, one object per line."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import NoReturn

from config import log_format_given

_uncaught = logging.getLogger("uncaught")


class JsonFormatter(logging.Formatter):
    """Formats a record like a line of `rtms.logs`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = _line(record.getMessage(), record.levelname, record.created)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def write_json() -> None:
    """Make this process, and those that it forks, write JSON for other libraries' logs and warnings
    and for uncaught errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    sys.excepthook = _on_error
    threading.excepthook = _on_error_in_thread


def refuse_to_start(why: object) -> NoReturn:
    """Write why a process cannot start, and end it with code 3. On this code, gunicorn does not
    start the worker again."""
    text = str(why)
    if log_format_given() == "json":
        text = json.dumps(_line(text, "critical", datetime.now(UTC).timestamp()))
    sys.stderr.write(f"{text}\n")
    raise SystemExit(3)


def _line(event: str, level: str, at: float) -> dict[str, str]:
    timestamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return {
        "event": event,
        "level": level.lower(),
        "timestamp": timestamp.replace("+00:00", "Z"),
    }


def _on_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _uncaught.critical("uncaught error", exc_info=(kind, error, traceback))


def _on_error_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value:
        _on_error(ended.exc_type, ended.exc_value, ended.exc_traceback)
