"""One line an event, for people (`console`) or machines (`json`)."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import datetime

import structlog
from structlog.typing import EventDict

from config import Config


def _plain(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Leave out what has no value, and write moments as everybody reads them."""
    return {
        name: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
        for name, value in line.items()
        if value is not None
    }


class _Logger(structlog.WriteLogger):
    """Writes lines. One that cannot be written, because the disk is full or nobody reads the pipe
    any more, is lost: no delivery and no thread may be lost with it."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the file is closed
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(config: Config) -> None:
    """Set logging up for this process. Lines go to stderr, so that what a command prints can be
    read by scripts."""
    people = config.log_format == "console"
    logger = _Logger(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _plain,
            structlog.dev.ConsoleRenderer(colors=people and sys.stderr.isatty())
            if people
            else structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.log_level]
        ),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )
