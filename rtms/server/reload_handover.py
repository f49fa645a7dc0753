"""A reload (SIGHUP) without a moment in which nobody accepts.

gunicorn ends the old processes as soon as it has forked the new ones. Those take a while to start,
on a busy machine longer than Zoom waits. Here the old ones go on until the new ones are ready; for
30 seconds (`graceful_timeout`), after which gunicorn ends them again.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from queue import SimpleQueue
from typing import Any

_AGES = 4096  # processes at a time
_LOOK_EVERY = 0.05  # seconds
_OLD, _COUNT, _NEWEST, _OFF = range(4)


class Handover:
    """Who takes over from whom, in memory that is shared by the processes forked after it is made.

    gunicorn gives each process an age: 1 to the first, 2 to the next.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")  # the master's to write
        self._ready = mmap.mmap(-1, _AGES)

    def begin(self, old: int, count: int) -> None:
        """Processes up to the age `old` are about to be replaced by so many that are younger."""
        self._numbers[_COUNT] = count
        self._numbers[_OLD] = old

    def call_off(self) -> None:
        """From now on nobody is to wait for anybody, nor to be replaced."""
        self._numbers[_OFF] = 1

    def note_forked(self, age: int) -> None:
        """A process is about to be made."""
        self._ready[age % _AGES] = 0
        self._numbers[_NEWEST] = age

    def note_ready(self, age: int) -> None:
        """A process can take deliveries."""
        self._ready[age % _AGES] = 1

    def is_awaited(self, age: int) -> bool:
        """Whether a process is to be replaced by others of which too few are ready."""
        old, count = self._numbers[_OLD], self._numbers[_COUNT]
        if age > old or self._numbers[_OFF]:
            return False
        younger = range(old + 1, self._numbers[_NEWEST] + 1)
        return sum(self._ready[each % _AGES] for each in younger) < count

    def missing(self, ages: Collection[int], *, wanted: int) -> int:
        """How many of those that take over are not there, while there are any to be replaced.

        Args:
            ages: of all processes that there are.
            wanted: how many are to be there in the end.
        """
        old = self._numbers[_OLD]
        if self._numbers[_OFF] or all(age > old for age in ages):
            return 0
        return max(0, wanted - sum(age > old for age in ages))

    def at_sigterm(self, age: int, leave: Callable[[int, Any], None]) -> None:
        """From now on, let this process leave at SIGTERM; where others are to take over, once
        they are ready or a second SIGTERM comes.

        Args:
            age: this process's.
            leave: what to do then, once, in the main thread, as a handler of the signal.
        """
        told: SimpleQueue[None] = SimpleQueue()  # unlike an Event, a handler may use it at any time
        waits = leaves = False

        def wait() -> None:
            told.get()
            while self.is_awaited(age):
                time.sleep(_LOOK_EVERY)
            os.kill(os.getpid(), signal.SIGTERM)

        def handle(number: int, frame: Any) -> None:
            nonlocal waits, leaves
            if not waits and self.is_awaited(age):
                waits = True
                told.put(None)
            elif not leaves:
                leaves = True
                leave(number, frame)

        threading.Thread(target=wait, name="handover", daemon=True).start()
        signal.signal(signal.SIGTERM, handle)
        signal.siginterrupt(signal.SIGTERM, False)
