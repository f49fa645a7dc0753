"""Real threads for calls that wait in the kernel, under gunicorn's gevent worker.

That worker runs all requests and jobs of a process in one thread. A call that waits for a disk
there would block all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub, monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")

_MOST = 16  # calls at the same moment
_LOOKUPS = 32  # threads for the database, notifications and the dashboard
_current: Callable[[], int] = monkey.get_original("threading", "get_ident")


class NativeThreads:
    """Runs calls in real threads. Make it in the thread that serves requests, after the fork."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_MOST, hub=get_hub())
        self._served_by = _current()

    def make_call(self, call: Callable[[], T]) -> T:
        """Make a call in a real thread while other requests run, and return its result.

        Args:
            call: may wait in the kernel, but for no lock: `threading` has gevent's locks here,
                which work in one thread only.

        Raises:
            Exception: whatever the call raises.
        """
        if _current() != self._served_by:
            return call()
        result, error = self._pool.apply(_outcome, (call,))
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def allow_lookups(connects: int) -> None:
    """Give gevent enough threads for looking up host names. It has ten by default. If a name server
    does not answer, connects that look up Recall's host would take all of them, and the database's
    host could not be looked up.

    Args:
        connects: how many streams are connected at the same time.
    """
    get_hub().threadpool.maxsize = connects + _LOOKUPS


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Catch the error: gevent would write it to stderr."""
    try:
        return call(), None
    except BaseException as error:
        return None, error
