"""Deliveries that are here at the same moment, on the wire of the real server."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil
import pytest

from sandbox import Stream, events
from sandbox.zoom import sign, stringify
from tests.conftest import ENVIRON
from tests.servers import Server, wait_for

pytestmark = pytest.mark.environ(DISPATCHER="off", WEB_CONCURRENCY="1")

# What the database has no part in.
on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PATIENCE = 20.0  # seconds, on a loaded machine
BAD = {"signature": "v0=" + "f" * 64}


def wire(body: Any, *, signature: str | None = None, more: str = "") -> bytes:
    """A delivery as bytes."""
    raw = stringify(body)
    timestamp = str(int(time.time()))
    signature = signature or sign(ENVIRON["ZOOM_SECRET_TOKEN"], timestamp, raw)
    head = (
        "POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"x-zm-request-timestamp: {timestamp}\r\nx-zm-signature: {signature}\r\n"
        f"{more}Content-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def start() -> bytes:
    return wire(events.started(Stream()))


class Client:
    """One connection, which sends bytes and reads answers."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self._read = b""

    def send(self, sent: bytes) -> None:
        self.socket.sendall(sent)

    def answer(self) -> tuple[int, dict[str, str]]:
        """The next answer: its status and its body."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, rest = self._read.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])  # type: ignore[index]
        while len(rest) < length:
            self._more()
            rest = self._read.partition(b"\r\n\r\n")[2]
        self._read = rest[length:]
        body = rest[:length]
        return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else {}

    def ask(self, sent: bytes) -> int:
        self.send(sent)
        return self.answer()[0]

    def has_nothing_more(self) -> bool:
        return not self._read and not select.select([self.socket], [], [], 0)[0]

    def leave(self) -> None:
        """Be gone at once, as a client that was killed on a broken line."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> None:
        chunk = self.socket.recv(65536)
        assert chunk, f"the server closed after {self._read!r}"
        self._read += chunk


@contextmanager
def clients(server: Server, count: int) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        made = [Client(server) for _ in range(count)]
        for each in made:
            stack.callback(each.socket.close)
        yield made


def streams(server: Server) -> list[str]:
    return sorted(row["rtms_stream_id"] for row in server.meetings())


def send_at_once(server: Server, some: Iterable[tuple[Client, bytes]]) -> None:
    """Let deliveries be there at one moment: the worker sleeps while they come."""
    (master,) = (each for each in server._processes if each.poll() is None)
    (worker,) = server.workers(master)
    worker.suspend()
    try:
        for client, sent in some:
            client.send(sent)
    finally:
        worker.resume()


def test_many_at_one_moment_are_each_answered_with_their_own_outcome(server: Server) -> None:
    server.start()
    known = events.started(Stream())
    with clients(server, 80) as many:
        assert many[0].ask(wire(known)) == 200
        fresh = [events.started(Stream()) for _ in range(20)]
        wrong = events.started(Stream())
        del wrong["payload"]
        kinds: list[tuple[bytes, tuple[int, str | None]]] = []
        for body in fresh:
            kinds.append((wire(known), (200, "duplicate")))
            kinds.append((wire(body), (200, "accepted")))
            kinds.append((wire(events.started(Stream()), **BAD), (401, None)))
            kinds.append((wire(wrong), (400, None)))
        for _ in range(2):
            send_at_once(server, zip(many, (sent for sent, _ in kinds), strict=True))
            for client, (_, (status, outcome)) in zip(many, kinds, strict=True):
                got, said = client.answer()
                assert (got, said.get("outcome")) == (status, outcome)
            kinds = [
                (sent, (200, "duplicate") if expected[0] == 200 else expected)
                for sent, expected in kinds
            ]
        assert all(client.has_nothing_more() for client in many)
    ids = [body["payload"]["rtms_stream_id"] for body in (known, *fresh)]
    assert streams(server) == sorted(ids)


@on_one_engine
def test_pipelined_deliveries_are_answered_once_and_in_order(server: Server) -> None:
    server.start()
    with clients(server, 6) as some:
        for pieces in (1, 7):
            sent = [
                b"".join(start() + wire({"event": "x"}, **BAD) + wire([]) + start() for _ in "123")
                for _ in some
            ]
            for piece in range(pieces):
                for client, all_of_it in zip(some, sent, strict=True):
                    size = -(-len(all_of_it) // pieces)
                    client.send(all_of_it[piece * size : (piece + 1) * size])
            for client in some:
                assert [client.answer()[0] for _ in range(12)] == [200, 401, 400, 200] * 3
                assert client.has_nothing_more()
    assert len(server.meetings()) == 2 * 6 * 6


@on_one_engine
def test_a_connection_serves_on_after_each_kind_of_answer(server: Server) -> None:
    server.start()
    start_of_one = start()
    with clients(server, 1) as (client,):
        asked = {
            "fresh": (start(), 200),
            "again": (start_of_one, 200),
            "no json": (wire([]), 400),
            "forged": (wire({"event": "x"}, **BAD), 401),
            "not there": (start().replace(b"/zoom-webhook", b"/zoom-webhooks"), 404),
            "wrong method": (b"GET /zoom-webhook HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            "empty": (b"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
            "a query": (start().replace(b"/zoom-webhook ", b"/zoom-webhook?x=1 "), 200),
        }
        for _ in range(2):
            for what, (sent, status) in asked.items():
                assert client.ask(sent) == status, what
        assert client.has_nothing_more()


def test_whoever_leaves_before_the_answer_disturbs_nobody(server: Server) -> None:
    master = server.start()
    with clients(server, 60) as many:
        bodies = [events.started(Stream()) for _ in many]
        (worker,) = server.workers(master)
        worker.suspend()
        for client, body in zip(many, bodies, strict=True):
            client.send(wire(body))
        for client in many[::2]:
            client.leave()
        worker.resume()
        stay = many[1::2]
        assert [client.answer()[0] for client in stay] == [200] * len(stay)
        assert [client.ask(start()) for client in stay] == [200] * len(stay)
    ids = {body["payload"]["rtms_stream_id"] for body in bodies[1::2]}
    assert ids <= set(streams(server))
    assert server.get("/readyz") == 200
    assert "Traceback" not in server.log()


AMBIGUOUS = {
    "two lengths": "Content-Length: 5\r\n",
    "two lengths, one with a space": "Content-Length : 5\r\n",
    "a folded length": "X: y\r\n Content-Length: 5\r\n",
    "a signed length": "Content-Length: +5\r\n",
    "a length and chunks": "Transfer-Encoding: chunked\r\n",
    "a length and chunks, with a space": "Transfer-Encoding : chunked\r\n",
    "NUL": "X: \0\r\n",
    "a bare LF": "X: y\nContent-Length: 5\r\n",
}


@on_one_engine
def test_what_can_be_read_in_two_ways_is_refused(server: Server) -> None:
    """The second request, which hides behind the first, is never answered."""
    server.start()
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for what, header in AMBIGUOUS.items():
        with clients(server, 1) as (client,):
            client.send(wire(events.started(Stream()), more=header) + hidden)
            status, _ = client.answer()
            assert status in (400, 501), what
            with suppress(ConnectionResetError):
                assert client.socket.recv(100) == b"", what
    assert streams(server) == []
    assert "Traceback" not in server.log()


@on_one_engine
def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(server: Server) -> None:
    server.start()
    head, _, body = wire(events.started(Stream()), more="Expect: 100-continue\r\n").partition(
        b"\r\n\r\n"
    )
    with clients(server, 1) as (client,):
        client.send(head + b"\r\n\r\n")
        assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        assert client.answer()[0] == 200
        assert client.ask(start()) == 200


@on_one_engine
def test_connections_that_are_over_leave_nothing_open(server: Server) -> None:
    master = server.start()
    (worker,) = server.workers(master)
    with clients(server, 20) as some:  # opens what stays open: the database and its lock
        send_at_once(server, ((client, start()) for client in some))
        assert {client.answer()[0] for client in some} == {200}

    def sockets() -> int:
        return sum(each.laddr.port == server.port for each in open_sockets(worker))

    wait_for(lambda: sockets() == 1, "the connections to close")  # one listens
    before = worker.num_fds()
    for round_ in range(4):
        with clients(server, 50) as many:
            asked = [wire({"event": "x"}, **BAD) if at % 3 else start() for at in range(50)]
            send_at_once(server, zip(many, asked, strict=True))
            for client in many[round_ % 2 :: 2]:
                assert client.answer()[0] in (200, 401)
            for client in many[:10]:
                client.leave()
    wait_for(lambda: sockets() == 1, "the connections to close")
    assert worker.num_fds() <= before
    assert server.get("/readyz") == 200
    with clients(server, 1) as (client,):
        assert client.ask(start()) == 200


def open_sockets(worker: psutil.Process) -> list[Any]:
    return [each for each in worker.net_connections("inet") if each.status != "CLOSE_WAIT"]


@on_one_engine
def test_clients_that_keep_their_end_open_hold_up_nobody(server: Server) -> None:
    """The server closes after its answer; whether they do is their affair."""
    server.start()
    bad = wire({"event": "x"}, **BAD, more="Connection: close\r\n")
    with clients(server, 5) as many:
        *idle, zoom = many
        assert zoom.ask(start()) == 200
        send_at_once(server, ((client, bad) for client in idle))
        assert idle[0].answer()[0] == 401
        began = time.monotonic()
        assert zoom.ask(start()) == 200
        assert time.monotonic() - began < 3.0  # Zoom waits no longer
        assert {client.answer()[0] for client in idle[1:]} == {401}


def test_a_server_that_ends_answers_what_it_has_and_says_that_it_closes(server: Server) -> None:
    master = server.start()
    (worker,) = server.workers(master)
    with clients(server, 40) as many:
        assert {client.ask(start()) for client in many} == {200}
        worker.suspend()
        for client in many:
            client.send(start())
        master.terminate()
        worker.resume()
        assert [client.answer()[0] for client in many] == [200] * len(many)
    assert server.terminate(master) == 0
    assert len(server.meetings()) == 80
