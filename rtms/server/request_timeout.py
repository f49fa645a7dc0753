"""Time limits for requests, under gunicorn's gevent worker.

gunicorn limits the time for a request's header (its `keepalive`). This module limits the time for
its body and its answer, so that a client that sends or reads slowly is disconnected.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import gevent
from werkzeug.exceptions import RequestTimeout
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment


T = TypeVar("T")

_PIECE = 2048  # bytes; most deliveries have one
_CHUNK = 64 * 1024
_MOST_DISCARDED = 64 * _CHUNK  # bytes


class RequestTimeLimit:
    """Limits how long a request's body, and each part of its answer, may take on the network.

    Each request yields once first. Otherwise a client that sends requests faster than they are
    answered would keep all others from running, because reading them never waits.

    Args:
        app: the application.
        seconds: for the whole body, and again for each part of the answer.
    """

    def __init__(self, app: WSGIApplication, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        gevent.sleep(0)
        body = _Body(environ["wsgi.input"], time.monotonic() + self._seconds)
        environ["wsgi.input"] = body
        parts = self._app(environ, start_response)
        return ClosingIterator(self._sent(parts), [*_close(parts), body.discard])

    def _sent(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        # The empty part is for an answer that has none: gunicorn sends its header with the first.
        for part in chain(parts, [b""]):
            # gunicorn sends it while this waits in `yield`, and takes this error for a client that
            # has gone: it closes the connection and logs nothing.
            with gevent.Timeout(self._seconds, BrokenPipeError(errno.EPIPE, "read too slowly")):
                yield part


class _Body:
    """A request's body, which has to be here by a moment of `time.monotonic()`.

    Raises:
        RequestTimeout: it was not; in each method.
    """

    def __init__(self, body: InputStream, give_up_at: float) -> None:
        self._body = body
        self._give_up_at = give_up_at

    def read(self, size: int = -1) -> bytes:
        return self._in_time(self._read_in_pieces, size)

    def _read_in_pieces(self, size: int) -> bytes:
        """Read in pieces, and let other requests run in between. To decode a body of tiny chunks
        takes a second."""
        pieces = []
        while size:
            piece = self._body.read(_PIECE if size < 0 else min(size, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
            if size:
                gevent.sleep(0)
        return b"".join(pieces)

    def readline(self, size: int = -1) -> bytes:
        return self._in_time(self._body.readline, size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._in_time(self._body.readlines, hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def discard(self) -> None:
        """Read what the application did not want, so that the client hears the answer.

        Raises:
            BrokenPipeError: it does not end in time, or in so many bytes, or is malformed.
                gunicorn closes the connection, and logs nothing.
        """
        with suppress(Exception):  # gunicorn has errors of its own for what it cannot read
            for _ in range(_MOST_DISCARDED // _CHUNK):
                if not self.read(_CHUNK):
                    return
        raise BrokenPipeError(errno.EPIPE, "a body that nobody reads")

    def _in_time(self, read: Callable[[int], T], size: int) -> T:
        with gevent.Timeout(max(self._give_up_at - time.monotonic(), 0), RequestTimeout()):
            return read(size)


def _close(parts: Iterable[bytes]) -> list[Callable[[], None]]:
    close = getattr(parts, "close", None)
    return [close] if close else []
