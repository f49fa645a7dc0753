"""Logging: one line per event, for people (`console`) or machines (`json`)."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from structlog.typing import EventDict, Processor

from config import Config
from models import CONNECTS


class Named(Protocol):
    """The identifiers of a meeting that its log lines carry."""

    @property
    def id(self) -> int: ...
    @property
    def rtms_stream_id(self) -> str: ...
    @property
    def tracking_id(self) -> str | None: ...


def about(meeting: Named | Any, **more: object) -> Any:
    """Return a logger whose lines have a meeting's row, its stream and Zoom's tracking id.

    Args:
        meeting: a row of `meeting_direct_connects`, or a lease of one.
        more: further fields of the lines.
    """
    return structlog.get_logger().bind(
        row=meeting.id, stream=meeting.rtms_stream_id, tracking_id=meeting.tracking_id, **more
    )


def meeting_of(connection: Connection, id: int) -> Any:
    """Return the columns of a meeting that its log lines need, by its id."""
    return connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id, CONNECTS.c.tracking_id).where(
            CONNECTS.c.id == id
        )
    ).one()


def _plain(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Remove fields without a value, and format times."""
    return {
        name: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
        for name, value in line.items()
        if value is not None
    }


_QUOTED = re.compile(r"[\s=\"']")


def _as_text(_logger: object, _method: str, line: EventDict) -> str:
    """Format a line like `ConsoleRenderer` without colours, at a fifth of the cost. Every delivery
    waits for its line."""
    head = f"{line.pop('timestamp')} [{line.pop('level'):<9}] {line.pop('event'):<30}"
    trace = line.pop("exception", None)
    text = " ".join([head, *(f"{name}={_shown(line[name])}" for name in sorted(line))]).rstrip(" ")
    return text if trace is None else f"{text}\n{trace}"


def _shown(value: object) -> str:
    if not isinstance(value, str) or _QUOTED.search(value) or not value.isprintable():
        return repr(value)
    return value


class _Logger(structlog.WriteLogger):
    """Writes lines. A line that cannot be written, because the disk is full or the pipe is closed,
    is dropped: it must not cost a delivery or a thread."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the file is closed
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(config: Config) -> None:
    """Set up logging for this process. Lines go to stderr, so that scripts can read the output of
    commands."""
    logger = _Logger(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _plain,
            _renderer(config.log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.log_level]
        ),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(colors=True) if sys.stderr.isatty() else _as_text
