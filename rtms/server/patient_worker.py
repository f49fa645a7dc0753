"""A gunicorn worker whose threads wait for nobody for ever.

gunicorn's threaded worker reads a request's header and body without a limit of time, so a few
clients that send slowly could hold every thread while Zoom waits in vain.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

# Seconds for one request, from its first byte to the last of its answer. Zoom waits three.
REQUEST_SECONDS = 5.0
_LOOK_EVERY = 0.5  # seconds
_CLOSING = 100  # connections whose client is given time to read the answer, at most
_SMALL, _PIECES = 16_384, 4  # bytes of a piece, and pieces, that are held back at most

# What tells a process to leave.
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class _Socket(socket.socket):
    """A client's connection that spares calls of the kernel: in each a thread loses its turn."""

    def __init__(self, plain: socket.socket) -> None:
        mode = plain.gettimeout()
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.settimeout(mode)
        self._held: list[bytes] | None = None

    def settimeout(self, value: float | None) -> None:
        """Set its mode, unless it has that. gunicorn asks several times a request."""
        if value != self.gettimeout():
            super().settimeout(value)

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def hold(self) -> None:
        """Hold back what is sent until `let_go`: an answer's header and body leave together."""
        self._held = []

    def drop(self) -> None:
        """Forget what is held back: another answer takes its place."""
        self._held = None

    def let_go(self) -> None:
        """Send what is held back."""
        held, self._held = self._held, None
        if held:
            super().sendall(b"".join(held))

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._held is not None and len(data) <= _SMALL and len(self._held) < _PIECES:
            self._held.append(data)
            return
        self.let_go()
        super().sendall(data, flags)

    def sendfile(self, *args: Any, **options: Any) -> int:
        self.let_go()
        return super().sendfile(*args, **options)

    def shutdown(self, how: int) -> None:
        self.let_go()
        super().shutdown(how)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with a limit of time for each request."""

    def init_process(self) -> None:
        self._begun: dict[Any, float] = {}  # connection → when its request began, monotonic
        self._begun_lock = threading.Lock()
        self._closing: SimpleQueue[Any] = SimpleQueue()
        super().init_process()

    def run(self) -> None:
        # Here, not above: a thread has the signals blocked that are blocked when it starts.
        for target, name in (
            (self._close_for_ever, "closing"),
            (self._cut_off_for_ever, "patience"),
        ):
            threading.Thread(target=target, name=name, daemon=True).start()
        super().run()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)  # `pre_fork` in gunicorn.conf.py

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not conn.wait_for_data(0.0):
            return _DEFER  # whoever connects and says nothing waits without a thread
        self.watch(conn)
        if self.cfg.is_ssl:
            try:
                return super().handle(conn)
            finally:
                self.unwatch(conn)
        conn.sock = self.spare(conn.sock)
        conn.sock.hold()
        try:
            keep = super().handle(conn)
            conn.sock.let_go()
            return keep
        except OSError:  # it has gone, and with it whoever the answer was for
            return False
        finally:
            self.unwatch(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """gunicorn waits for the client before it closes a connection, in the thread that hands
        out all others. Here another one waits."""
        conn.close = partial(self._close, conn)
        super().finish_request(conn, fs)

    def _close(self, conn: Any, graceful: bool = False) -> None:
        if graceful and self._closing.qsize() < _CLOSING:
            self._closing.put(conn)
        else:
            type(conn).close(conn)

    def _close_for_ever(self) -> None:
        while True:
            conn = self._closing.get()
            with suppress(OSError):  # the client was faster
                type(conn).close(conn, graceful=True)

    def spare(self, sock: socket.socket) -> socket.socket:
        """The connection, as one that spares calls of the kernel."""
        return _Socket(sock) if type(sock) is socket.socket else sock

    def watch(self, conn: Any) -> None:
        """Cut a connection off if its request takes too long, from the first call on."""
        with self._begun_lock:
            self._begun.setdefault(conn, time.monotonic())

    def unwatch(self, conn: Any) -> None:
        """Its request has come to an end."""
        with self._begun_lock:
            self._begun.pop(conn, None)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        body = conn.parser.mesg.body
        if keepalive and getattr(body.reader, "length", None) == 0:
            return True  # the application read all of it
        if isinstance(conn.sock, _Socket):
            conn.sock.let_go()  # who waits for the answer need not send what nobody will read
        return bool(super()._keepalive_after(conn, keepalive))

    def _cut_off_for_ever(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY)
            too_early = time.monotonic() - REQUEST_SECONDS
            with self._begun_lock:
                slow = [conn for conn, begun in self._begun.items() if begun < too_early]
                for conn in slow:
                    # Whoever reads from it sees its end; the thread closes it itself.
                    with suppress(OSError):
                        socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
