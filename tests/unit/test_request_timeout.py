"""The limit of time for each request, without a server."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import gevent
import pytest
from werkzeug.exceptions import RequestTimeout

from rtms.server.request_timeout import RequestTimeLimit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BODY = b"x" * 100_000


class Counted(io.BytesIO):
    """A body that has arrived, and counts what is read of it."""

    done = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.done += len(piece)
        return piece


def ask(read: Callable[[WSGIEnvironment], object], body: io.BytesIO, seconds: float = 5) -> object:
    """Make a request of an application that does nothing but read, and return what it read."""
    found: list[object] = []

    def app(environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        found.append(read(environ))
        return []

    limited = RequestTimeLimit(app, seconds)
    limited({"wsgi.input": body}, lambda *_: lambda _: None)
    return found[0]


@pytest.mark.parametrize("size", [-1, len(BODY)])
def test_others_run_while_a_large_body_is_decoded(size: int) -> None:
    """Tiny chunks take longer than the network."""
    body = Counted(BODY)
    most = last = 0

    def others() -> None:
        nonlocal most, last
        while True:
            most, last = max(most, body.done - last), body.done
            gevent.sleep(0)

    running = gevent.spawn(others)
    try:
        assert ask(lambda environ: environ["wsgi.input"].read(size), body) == BODY
    finally:
        running.kill()
    assert most < len(BODY) / 10


def test_a_body_that_takes_too_long_to_decode_is_given_up() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.002)
            return super().read(1)

    with pytest.raises(RequestTimeout):
        ask(lambda environ: environ["wsgi.input"].read(), Slow(BODY), seconds=0.1)


@pytest.mark.parametrize("size", [0, 1, 5000, len(BODY)])
def test_as_much_is_read_as_was_asked_for(size: int) -> None:
    assert ask(lambda environ: environ["wsgi.input"].read(size), io.BytesIO(BODY)) == BODY[:size]


def test_an_answer_without_a_body_has_a_part_too() -> None:
    """While gunicorn sends the part, the time is limited: so its header is, too."""

    def app(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        return []

    answer = RequestTimeLimit(app, 5)({"wsgi.input": io.BytesIO()}, lambda *_: lambda _: None)
    assert list(answer) == [b""]
