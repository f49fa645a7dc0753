"""WSGI middleware for a server that a proxy publishes below a path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MAPPED = "::ffff:"  # prefix of a client's IPv4 address on a socket for IPv4 and IPv6


class Front:
    """A WSGI middleware that sets SCRIPT_NAME, and the client's address in its usual form.

    Args:
        application: the WSGI application behind it.
        path: of PUBLIC_URL, such as `/rtms`; empty at the root. The proxy in front may remove it or
            leave it.
    """

    def __init__(self, application: Any, path: str) -> None:
        self._application = application
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass a request on to the application."""
        client = environ.get("REMOTE_ADDR") or ""
        if "." in client:
            environ["REMOTE_ADDR"] = client.removeprefix(_MAPPED)
        if self._path:
            environ["SCRIPT_NAME"] = self._path
            environ["PATH_INFO"] = _below(environ.get("PATH_INFO", ""), self._path)
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


def _below(path: str, prefix: str) -> str:
    if f"{path}/".startswith(f"{prefix}/"):
        return path[len(prefix) :] or "/"
    return path
