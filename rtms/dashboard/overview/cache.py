"""What was read a moment ago, for many who ask at once: one of them reads, and all are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

SECONDS = 1.0  # for which what was read is told

T = TypeVar("T")


class Latest(Generic[T]):
    """Remembers, for a second, what one thread read. Threads share it; it starts none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: Future[T] | None = None
        self._began_at = 0.0

    def get(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, or returned less than a second ago to whoever asked then. Who
        asks while it is at work waits for it.

        Raises:
            Exception: what ``read`` raises, to all who waited; the next who asks tries anew.
        """
        with self._lock:
            reading = self._reading
            if reading is not None and (not reading.done() or self._is_fresh(reading)):
                is_mine = False
            else:
                is_mine, self._began_at = True, time.monotonic()
                reading = self._reading = Future()
        if is_mine:
            try:
                reading.set_result(read())
            except BaseException as error:
                reading.set_exception(error)
        return reading.result()

    def _is_fresh(self, reading: Future[T]) -> bool:
        return reading.exception() is None and time.monotonic() - self._began_at < SECONDS
