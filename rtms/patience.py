"""A gunicorn worker whose threads wait for nobody for ever.

gunicorn's threaded worker reads a request's header and body without a limit of time, so a few
clients that send slowly could hold every thread while Zoom waits in vain.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

# Seconds for one request, from its first byte to the last of its answer. Zoom waits three.
REQUEST_SECONDS = 5.0
_LOOK_EVERY = 0.5  # seconds
_LINGER = 5  # milliseconds


class _Socket(socket.socket):
    """A client's connection. gunicorn sets its mode several times a request, mostly to what it is,
    and each time is a call of the kernel in which the thread loses its turn."""

    __slots__ = ()

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        if value != self.gettimeout():
            super().settimeout(value)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with a limit of time for each request."""

    def init_process(self) -> None:
        self._begun: dict[Any, float] = {}  # connection → when its request began, monotonic
        self._begun_lock = threading.Lock()
        threading.Thread(target=self._cut_off_for_ever, name="patience", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not conn.wait_for_data(0.0):
            return _DEFER  # whoever connects and says nothing waits without a thread
        if type(conn.sock) is socket.socket:
            conn.sock.__class__ = _Socket
        keep = self._handle_one(conn)
        while keep and self._has_more(conn):
            keep = self._handle_one(conn)
        return keep

    def _handle_one(self, conn: Any) -> Any:
        with self._begun_lock:
            self._begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            with self._begun_lock:
                del self._begun[conn]

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        body = conn.parser.mesg.body
        if keepalive and getattr(body.reader, "length", None) == 0:
            return True  # the application read all of it
        return bool(super()._keepalive_after(conn, keepalive))

    def _has_more(self, conn: Any) -> bool:
        """Whether the next request is about to come. In a burst it mostly is, and a thread that
        stays with its connection for a moment saves handing it to and fro, which costs as much as
        the request. Where others wait for a thread, they go first."""
        if not self.alive or conn.is_http2 or self.tpool._work_queue.qsize():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(_LINGER))

    def _cut_off_for_ever(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY)
            too_early = time.monotonic() - REQUEST_SECONDS
            with self._begun_lock:
                slow = [conn for conn, begun in self._begun.items() if begun < too_early]
                for conn in slow:
                    # Whoever reads from it sees its end; the thread closes it itself.
                    with suppress(OSError):
                        conn.sock.shutdown(socket.SHUT_RDWR)
