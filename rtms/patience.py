"""A gunicorn worker whose threads wait for nobody for ever.

gunicorn's threaded worker reads a request's header and body without a limit of time, so a few
clients that send slowly could hold every thread while Zoom waits in vain.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker

# Seconds for one request, from its first byte to the last of its answer. Zoom waits three.
REQUEST_SECONDS = 5.0
_LOOK_EVERY = 0.5  # seconds


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
        with self._begun_lock:
            self._begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            with self._begun_lock:
                del self._begun[conn]

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
