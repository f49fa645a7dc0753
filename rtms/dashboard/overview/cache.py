"""Caches a value for a second: of many simultaneous requests, one reads it for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

SECONDS = 1.0  # for which a value is kept

T = TypeVar("T")


class Latest(Generic[T]):
    """Keeps the last value for a second. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: Future[T] | None = None
        self._began_at = 0.0

    def get(self, read: Callable[[], T]) -> T:
        """Return the result of ``read``, or its last one if that is less than a second old. If a
        call is in progress, wait for it.

        Raises:
            Exception: what ``read`` raises, to all who waited. The next call tries again.
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
