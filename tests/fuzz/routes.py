"""The two ways in: the WSGI application inside this process, and a server's socket. Both say what
came back, or complain."""

from __future__ import annotations

import errno
import io
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

from flask import Flask

from tests.conftest import ENVIRON
from tests.dashboard import PASSWORD, csrf_token, log_in
from tests.fuzz.inputs import CSRF_TOKEN, RECALL_KEY, Input

# What any configuration for fuzzing needs, beside a database.
VARIABLES = {
    **ENVIRON,
    "RECALL_WEBHOOK_SECRET": f"whsec_{RECALL_KEY}",
    "ADMIN_PASSWORD": PASSWORD,
    "METRICS_TOKEN": "metrics-token-of-the-tests",
    "DISPATCHER": "off",  # what is taken in stays, and nobody asks Recall
}
_SECRETS = tuple(
    VARIABLES[name]
    for name in (
        "ZOOM_SECRET_TOKEN",
        "ZOOM_CLIENT_SECRET",
        "RECALL_API_KEY",
        "ADMIN_PASSWORD",
        "METRICS_TOKEN",
    )
)
_WEBHOOKS = (b"/zoom-webhook", b"/recall-webhook")
_TEXTS = ("text/html", "text/css", "text/plain")  # what pages and /metrics are; all else is JSON
# gunicorn's own, for a transfer encoding or an HTTP version that it does not know.
_NOT_IMPLEMENTED = (501, 505)
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(debug|info|warning|error) *\][^\x00-\x1f]*")


class Complaint(Exception):
    """An input got what no input may get."""


class Routes:
    """The application inside this process.

    Args:
        app: made with `VARIABLES`; exceptions pass through it.
        log: where it writes its log.
    """

    def __init__(self, app: Flask, log: io.StringIO) -> None:
        app.config["PROPAGATE_EXCEPTIONS"] = True
        self._app = app
        self._log = log
        client = log_in(app)
        page = client.get("/meetings")
        self._cookie: str = page.request.headers["Cookie"]
        self._csrf_token = csrf_token(page)

    def ask(self, given: Input) -> int:
        """Make a request.

        Returns:
            The answer's status.

        Raises:
            Complaint: the answer, or what was logged, is not as it must be.
        """
        said: list[tuple[int, Mapping[str, str]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _info: Any = None) -> Any:
            said.append((int(status.split()[0]), dict(headers)))

        environ = _environ(self._with_session(given) if given.logged_in else given)
        answer = self._app.wsgi_app(environ, start_response)
        text = b"".join(answer).decode()
        close = getattr(answer, "close", None)
        if close:
            close()
        (status, headers) = said[-1]
        self._check(given, status, headers, text)
        return status

    def _with_session(self, given: Input) -> Input:
        named, token = (quote_plus(CSRF_TOKEN).encode(), self._csrf_token.encode())
        return replace(
            given,
            headers=(*given.headers, ("Cookie", self._cookie)),
            body=given.body.replace(named, token),
        )

    def _check(self, given: Input, status: int, headers: Mapping[str, str], text: str) -> None:
        if status >= 500:
            raise Complaint(f"answered {status}: {text}")
        if status == 200 and given.method == "POST" and not (given.signed or given.is_challenge):
            raise Complaint(f"let in what nobody signed: {text}")
        if given.method not in ("HEAD", "OPTIONS") and not 300 <= status < 400:
            kind = headers.get("Content-Type", "").partition(";")[0]
            if given.path in _WEBHOOKS or kind not in _TEXTS:
                json.loads(text)
            elif "<script>" in text:  # our own name a file
                raise Complaint(f"let in a script: {text}")
        if any(set(value) & set("\r\n") for value in headers.values()):
            raise Complaint(f"headers that break: {headers}")
        logged = self._log.getvalue()
        self._log.seek(0)
        self._log.truncate()
        if any(secret in text + logged for secret in _SECRETS):
            raise Complaint(f"told a secret: {text}{logged}")
        wrong = [line for line in logged.splitlines() if not _LOG_LINE.fullmatch(line)]
        if wrong:
            raise Complaint(f"wrote what is no line of its log: {wrong}")


def _environ(given: Input) -> dict[str, Any]:
    """What a WSGI server makes of a request."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": given.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": given.path.decode("latin-1"),
        "QUERY_STRING": given.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(given.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(given.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in given.headers:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ and key != "HTTP_HOST" else value
    return environ


def ask_server(port: int, wire: bytes) -> int | None:
    """Send bytes to a server on loopback.

    Returns:
        The answer's status; None where the server just closed.

    Raises:
        Complaint: it answered with a 5xx, or said a secret.
        TimeoutError: it does neither.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        try:
            client.sendall(wire)
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                answer += chunk
        except OSError as error:  # it had read enough; what it said before that counts
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
    if any(secret.encode() in answer for secret in _SECRETS):
        raise Complaint(f"told a secret: {answer!r}")
    statuses = [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3})", answer)]
    wrong = [each for each in statuses if each >= 500 and each not in _NOT_IMPLEMENTED]
    if wrong:
        raise Complaint(f"answered {wrong}: {answer[:2000]!r}")
    return statuses[0] if statuses else None
