"""A reload (SIGHUP) without a moment in which nobody accepts.

gunicorn ends the old processes as soon as it has forked the new ones. Those take a while to start,
on a busy machine longer than Zoom waits. Here the old ones go on until the new ones are ready.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

_AGES = 4096  # processes at a time
_LOOK_EVERY = 0.05  # seconds
_RELOAD = struct.Struct("qq")


class Handover:
    """Who takes over from whom, in memory that is shared by the processes forked after it is made.

    gunicorn gives each process an age: 1 to the first, 2 to the next.
    """

    def __init__(self) -> None:
        self._reload = mmap.mmap(-1, _RELOAD.size)
        self._ready = mmap.mmap(-1, _AGES)

    def begin(self, youngest: int, count: int) -> None:
        """Processes up to an age are about to be replaced by so many that are younger."""
        self._reload[:] = _RELOAD.pack(youngest, count)

    def note_forked(self, age: int) -> None:
        """A process is about to be made."""
        self._ready[age % _AGES] = 0

    def note_ready(self, age: int) -> None:
        """A process can take deliveries."""
        self._ready[age % _AGES] = 1

    def is_awaited(self, age: int) -> bool:
        """Whether a process is to be replaced by others that are not all ready."""
        youngest, count = _RELOAD.unpack(self._reload[:])
        if age > youngest:
            return False
        successors = range(youngest + 1, youngest + 1 + count)
        return not all(self._ready[each % _AGES] for each in successors)

    def at_sigterm(self, age: int, leave: Callable[[int, Any], None]) -> None:
        """From now on, let this process leave at SIGTERM; where others are to take over, once
        they are ready or a second SIGTERM comes.

        Args:
            age: this process's.
            leave: what to do then, in the main thread, as a handler of the signal.
        """
        waits = threading.Event()

        def wait() -> None:
            waits.wait()
            while self.is_awaited(age):
                time.sleep(_LOOK_EVERY)
            os.kill(os.getpid(), signal.SIGTERM)

        def handle(number: int, frame: Any) -> None:
            if waits.is_set() or not self.is_awaited(age):
                leave(number, frame)
            else:
                waits.set()

        threading.Thread(target=wait, name="handover", daemon=True).start()
        signal.signal(signal.SIGTERM, handle)
        signal.siginterrupt(signal.SIGTERM, False)
