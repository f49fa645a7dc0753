"""What a process writes to stderr besides its own log (`rtms.logs`). With LOG_FORMAT=json this is
JSON, too: an object a line."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from config import log_format_given

_uncaught = logging.getLogger("uncaught")


class JsonFormatter(logging.Formatter):
    """Formats a record as `rtms.logs` does its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = _line(record.getMessage(), record.levelname, record.created)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def write_json() -> None:
    """Have this process, and those that it forks, write JSON where other libraries log and warn,
    and where nobody caught an error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    sys.excepthook = _on_error
    threading.excepthook = _on_error_in_thread


def tell_the_end(why: object) -> None:
    """Say why a process cannot start."""
    text = str(why)
    if log_format_given() == "json":
        text = json.dumps(_line(text, "critical", datetime.now(UTC).timestamp()))
    sys.stderr.write(f"{text}\n")


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
    _uncaught.critical("nobody caught an error", exc_info=(kind, error, traceback))


def _on_error_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value:
        _on_error(ended.exc_type, ended.exc_value, ended.exc_traceback)
