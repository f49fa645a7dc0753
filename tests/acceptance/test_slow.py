"""Clients that send slowly, more of them than the server has threads, on the real server."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.acceptance.test_together import clients, on_one_engine, start, wire
from tests.servers import Server

pytestmark = pytest.mark.environ(DISPATCHER="off", WEB_CONCURRENCY="1")

SLOW = 100  # connections; three times gunicorn's threads
ZOOM_WAITS = 3.0  # seconds
_BODY = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\npassw"
BEGINNINGS = {
    "a body of a delivery": f"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\n{_BODY}",
    "a body of a login": f"POST /login HTTP/1.1\r\nHost: x\r\n{_BODY}",
    "a header": "POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nContent-Le",
    "chunks": "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npas",
    "a long body": "POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{",
}


@contextmanager
def slow_clients(server: Server, beginning: str) -> Iterator[None]:
    """Connections that begin a request and stop there. Whichever is cut off is made anew."""
    over = threading.Event()
    all_are_there = threading.Barrier(SLOW + 1)

    def hold_one() -> None:
        first = True
        while not over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", server.port)) as client:
                client.settimeout(0.2)
                client.sendall(beginning.encode())
                if first:
                    first = False
                    all_are_there.wait(timeout=30)
                while not over.is_set():
                    with suppress(TimeoutError):
                        if not client.recv(65536):
                            break

    threads = [threading.Thread(target=hold_one, daemon=True) for _ in range(SLOW)]
    for thread in threads:
        thread.start()
    try:
        all_are_there.wait(timeout=30)
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=10)


@on_one_engine
@pytest.mark.parametrize("what", BEGINNINGS)
def test_deliveries_do_not_wait_for_slow_clients(server: Server, what: str) -> None:
    """For longer than it takes to be cut off, so that some are, and come back."""
    server.start()
    took = []
    with slow_clients(server, BEGINNINGS[what]):
        until = time.monotonic() + 7
        while time.monotonic() < until:
            began = time.monotonic()
            with clients(server, 1) as (zoom,):
                assert zoom.ask(start()) == 200
            took.append(time.monotonic() - began)
    assert max(took) < ZOOM_WAITS
    assert len(server.meetings()) == len(took)
    assert server.get("/healthz") == 200
    assert "Traceback" not in server.log()


@on_one_engine
def test_deliveries_that_come_in_pieces_do_not_wait_either(server: Server) -> None:
    server.start()
    took = []
    with slow_clients(server, BEGINNINGS["chunks"]), clients(server, 2) as (zoom, other):
        for cut in (1, 10, 30, 200, 400):
            sent = start()
            began = time.monotonic()
            zoom.send(sent[:cut])
            assert other.ask(start()) == 200  # by then the piece is there
            zoom.send(sent[cut:-1])
            assert other.ask(start()) == 200
            zoom.send(sent[-1:])
            assert zoom.answer()[0] == 200
            took.append(time.monotonic() - began)
    assert max(took) < ZOOM_WAITS
    assert len(server.meetings()) == 3 * len(took)


@on_one_engine
def test_slow_clients_are_cut_off_however_often_they_send_a_byte(server: Server) -> None:
    server.start()
    began = time.monotonic()
    with clients(server, 1) as (slow,):
        assert slow.ask(start()) == 200
        slow.send(b"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nX: ")
        slow.socket.settimeout(0.1)
        while time.monotonic() - began < 20:
            try:
                slow.send(b"y")
                if not slow.socket.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 10


@on_one_engine
def test_a_slow_client_wakes_nobody(server: Server) -> None:
    """What has come of a request is not looked at again and again."""
    master = server.start()
    (worker,) = server.workers(master)
    with clients(server, 5) as some:
        for each in some:
            each.send(wire({"event": "x"})[:-1])
        assert server.get("/healthz") == 200
        before = sum(worker.cpu_times()[:2])
        with pytest.raises(TimeoutError):
            some[0].socket.settimeout(2)
            some[0].answer()
        assert sum(worker.cpu_times()[:2]) - before < 1.0
        assert worker.num_threads() < 20


@on_one_engine
def test_a_server_that_ends_waits_for_nobody_who_is_slow(server: Server) -> None:
    master = server.start()
    with clients(server, 20) as some:
        for each in some:
            each.send(start()[:-1])
        began = time.monotonic()
        assert server.terminate(master) == 0
        assert time.monotonic() - began < 15


@on_one_engine
def test_clients_that_send_nothing_leave_descriptors_for_others(server: Server) -> None:
    """A system's own limit is often 1,024, and a worker has a thousand clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with clients(server, 200), clients(server, 1) as (zoom,):
        assert zoom.ask(start()) == 200
    assert "Too many open files" not in server.log()
