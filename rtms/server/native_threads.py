"""Real threads for calls that stand still in the kernel, under gunicorn's gevent worker.

That worker runs all of a process's requests and jobs in one thread. What waits there for a disk in
earnest, instead of letting others run meanwhile, would stop all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub, monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")

_MOST = 16  # calls at the same moment
_current: Callable[[], int] = monkey.get_original("threading", "get_ident")


class NativeThreads:
    """Runs calls in real threads. Make it in the thread that serves requests, after the fork."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_MOST, hub=get_hub())
        self._served_by = _current()

    def make_call(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises. Meanwhile other requests run.

        Args:
            call: what may wait in the kernel. It may wait for no lock: those of gevent, which
                `threading` has here, work in one thread only.
        """
        if _current() != self._served_by:
            return call()
        result, error = self._pool.apply(_outcome, (call,))
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Catch the error: gevent would write it to stderr."""
    try:
        return call(), None
    except BaseException as error:
        return None, error
