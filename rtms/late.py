"""Answers that are decided when they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


# Where a server says when a request came, if that was before it ran the application; the moment is
# one of `time.monotonic()`.
ARRIVED_AT = "rtms.arrived_at"


class LateResponse(Response):
    """An answer that is made when the server begins to send it. WSGI allows an application to say
    its status as late as that, so a server may run it for several requests first and let them
    share what they wait for (`rtms.together`); every other server just waits.

    Args:
        make: makes the answer. It is called outside the request's context.
    """

    def __init__(self, make: Callable[[], Response]) -> None:
        super().__init__()
        self._make = make

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._send(environ, start_response)

    def _send(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        yield from self._make()(environ, start_response)
