"""Answers that are decided when they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


# Where a server says when a request came, if that was before it ran the application; the moment is
# one of `time.monotonic()`.
ARRIVED_AT = "rtms.arrived_at"
_JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What is answered: a status, and an object that goes out as JSON."""

    status: int
    said: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_response(self) -> Response:
        """The same, for who answers at once."""
        return Response(self._body(), self.status, self.headers, mimetype=_JSON)

    def send(self, start_response: StartResponse) -> bytes:
        """Begin to send it. Returns its body."""
        body = self._body()
        start_response(
            _STATUS_LINES[self.status],
            [("Content-Type", _JSON), ("Content-Length", str(len(body))), *self.headers.items()],
        )
        return body

    def _body(self) -> bytes:
        return json.dumps(self.said).encode()


class LateResponse(Response):
    """An answer that is made when the server begins to send it. WSGI allows an application to say
    its status as late as that, so a server may run it for several requests first and let them
    share what they wait for (`rtms.server.together_worker`); every other server just waits.

    Args:
        make: makes the answer. It is called outside the request's context.
    """

    def __init__(self, make: Callable[[], Answer]) -> None:
        super().__init__()
        self._make = make

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._send(start_response)

    def _send(self, start_response: StartResponse) -> Iterator[bytes]:
        yield self._make().send(start_response)


_STATUS_LINES = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
