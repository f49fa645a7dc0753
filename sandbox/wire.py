"""The HTTP/1.1 server of the stand-in for Recall: it sends answers, and breaks them on request.

The answers are decided elsewhere. This module sends them.
"""

import contextlib
import json
import select
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from sandbox.media import Slice

Manner = Literal["whole", "reset", "hang", "cut", "drip"]


@dataclass(frozen=True)
class Request:
    """An HTTP request."""

    method: str
    path: str
    query: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer, and how it is sent."""

    status: int
    body: bytes | Slice = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "whole"
    cut: int = 0  # "cut": bytes of the body that are sent
    honest: bool = False  # "cut": Content-Length is the truncated length
    drip: float = 1.0  # "drip": seconds per byte

    @classmethod
    def of_json(cls, status: int, value: Any, **headers: str) -> "Answer":
        """Return a JSON answer. Underscores in header names become hyphens."""
        body = json.dumps(value).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, body, headers=named)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests from a keep-alive connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(Answer.of_json(411, {"detail": "Send a Content-Length."}))
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client disconnected
            self.close_connection = True
            return
        answer = self.server.app(Request(self.command, path, query, self.headers, body))
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _send(self, answer: Answer) -> None:
        try:
            if answer.manner == "reset":
                self._reset()
            elif answer.manner == "hang":
                self._hang()
            else:
                self._write(answer)
        except OSError:  # the client disconnected, or the server stops
            self.close_connection = True

    def _head(self, answer: Answer) -> bytes:
        size = len(answer.body)
        if answer.manner == "cut" and answer.honest:
            size = min(size, answer.cut)
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        headers = {
            "Server": "sandbox",
            "Date": self.date_time_string(),
            "Content-Type": answer.content_type,
            "Content-Length": str(size),
        } | dict(answer.headers)
        if self.close_connection or answer.manner == "cut":
            headers["Connection"] = "close"
            self.close_connection = True
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _write(self, answer: Answer) -> None:
        head, body = self._head(answer), answer.body
        if self.command == "HEAD" or answer.status in (204, 304):
            self.connection.sendall(head)
        elif answer.manner == "drip":
            self.connection.sendall(head)
            for chunk in (body,) if isinstance(body, bytes) else body.chunks():
                for byte in chunk:
                    if self.server.stopping.wait(answer.drip):
                        raise ConnectionAbortedError
                    self.connection.sendall(bytes((byte,)))
        elif isinstance(body, bytes):
            whole = body[: answer.cut] if answer.manner == "cut" else body
            self.connection.sendall(head + whole)  # in one packet if it fits
        else:
            left = answer.cut if answer.manner == "cut" else len(body)
            self.connection.sendall(head)
            for chunk in body.chunks():
                self.connection.sendall(memoryview(chunk)[:left])
                left -= min(left, len(chunk))
                if not left:
                    break

    def _reset(self) -> None:
        """Close with RST instead of FIN, like a crashed peer or a broken load balancer."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.rfile.close()  # or it keeps the socket open
        self.connection.close()

    def _hang(self) -> None:
        """Send nothing until the client disconnects."""
        self.close_connection = True
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        while not self.server.stopping.is_set():
            if poll.poll(100) and not self.connection.recv(65536):
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the ledger records requests."""


class Server(ThreadingHTTPServer):
    """A server with a thread per connection. ``stop`` leaves no socket and no thread behind."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], app: Callable[[Request], Answer]) -> None:
        """Listen at once, serve after ``start``."""
        self.app = app
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._idle = threading.Condition()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, as http.server would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop serving, close all connections and wait for their threads."""
        self.stopping.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(timeout)
        self.server_close()
        with self._idle:
            self._hang_up()
            self._idle.wait_for(lambda: not self._open, timeout)

    def go_down(self) -> None:
        """Refuse connections, and close the open ones. Work in progress continues."""
        self.shutdown()
        self._thread.join()
        self.socket.close()
        # Bound, so that the port stays reserved, but not listening, so that it refuses.
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        with self._idle:
            self._hang_up()

    def come_back(self) -> None:
        """Serve again, at the same address."""
        self.server_activate()
        self._thread = self._new_thread()
        self._thread.start()

    def _hang_up(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Record the connection before its thread starts, so that ``stop`` closes it."""
        with self._idle:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._idle:
                self._open.discard(request)
                self._idle.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except those of clients that disconnect."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
