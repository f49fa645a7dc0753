"""gunicorn's own lines, in the format that is configured."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from config import Config
from rtms.stderr import JsonFormatter


class ServerLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger, which writes JSON with LOG_FORMAT=json."""

    def setup(self, cfg: Any) -> None:
        """Set up, at the start and anew at each reload."""
        super().setup(cfg)
        if Config.current().log_format == "json":
            for handler in (*self.error_log.handlers, *self.access_log.handlers):
                handler.setFormatter(JsonFormatter())
