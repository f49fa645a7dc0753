"""What stands before the application: the path below which a proxy has the server. Plain WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MAPPED = "::ffff:"  # before the IPv4 address of a client, as a socket for IPv4 and IPv6 shows it


class Front:
    """A WSGI application before another.

    Args:
        application: the one behind it.
        path: below which browsers find the server, such as `/rtms` (the path of PUBLIC_URL); empty
            at the root. The proxy in front may take it off or leave it on.
    """

    def __init__(self, application: Any, path: str) -> None:
        self._application = application
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
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
