"""gunicorn's own lines, in the format that is configured, and without secrets."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from config import Config
from rtms.stderr import JsonFormatter

_OAUTH_CALLBACK = "/oauth-callback/"  # its query has an authorization code


class ServerLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger, which writes JSON with LOG_FORMAT=json."""

    def setup(self, cfg: Any) -> None:
        """Set up, at the start and anew at each reload."""
        super().setup(cfg)
        if Config.current().log_format == "json":
            for handler in (*self.error_log.handlers, *self.access_log.handlers):
                handler.setFormatter(JsonFormatter())

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> Any:
        """Return what a line of the access log can show. The query of an OAuth callback is
        hidden."""
        path = str(environ.get("RAW_URI", "")).partition("?")[0]
        if _OAUTH_CALLBACK in path or _OAUTH_CALLBACK in str(environ.get("PATH_INFO", "")):
            environ = {**environ, "RAW_URI": path, "QUERY_STRING": ""}
        return super().atoms(resp, req, environ, request_time)
