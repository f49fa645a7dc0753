"""One writer at a time to an SQLite file."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHORTEST_POLL, _LONGEST_POLL = 0.0001, 0.0002  # seconds


class WriteLock:
    """Lets one thread of one process at a time write to an SQLite file. SQLite's own way, to look
    again after a while, starves the unlucky; here threads and processes queue."""

    def __init__(self, database: Path) -> None:
        self._path = f"{database}.lock"
        self._threads = threading.Lock()
        self._file: int | None = None

    @contextmanager
    def held(self, give_up_at: float) -> Iterator[None]:
        """Hold the lock; wait for it until a moment of `time.monotonic()`."""
        if not self._threads.acquire(timeout=max(give_up_at - time.monotonic(), 0)):
            raise TimeoutError("another thread has been writing to the database for too long")
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _lock_file(self._file, give_up_at)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Close the file: two processes that share it open would not lock each other out."""
        with self._threads:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _lock_file(file: int, give_up_at: float) -> None:
    pause = _SHORTEST_POLL
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise TimeoutError(
                    "another process has been writing to the database for too long"
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)
