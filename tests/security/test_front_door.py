"""Bytes on the wire that no honest client would send, against the real server."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from sandbox import Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.servers import Server, wait_for

MIB = 1 << 20
GONE = r"reset|Broken pipe"
CUT_OFF = 20.0  # seconds; the server's own limit is five, the machine may be loaded
POST = b"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of it: after each attack it must still be there."""
    folder = tmp_path_factory.mktemp("server")
    url = f"sqlite:///{folder / 'rtms.sqlite3'}"
    made = Server({**ENVIRON, "DATABASE_URL": url, "DISPATCHER": "off"}, folder / "server.log")
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def still_there(server: Server) -> Iterator[None]:
    """Zoom gets its answer after the attack, and the server has nothing to tell but lines."""
    yield
    with ZoomSandbox(f"{server.url}/zoom-webhook", ENVIRON["ZOOM_SECRET_TOKEN"], 20) as zoom:
        assert zoom.deliver(events.started(Stream())).status == 200
    assert "Traceback" not in server.log()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=CUT_OFF)


def talk(server: Server, sent: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    answer = b""
    with connect(server) as client, suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(sent)
        with suppress(OSError):  # the server has closed already, and what it said is still there
            client.shutdown(socket.SHUT_WR)
        while chunk := client.recv(65536):
            answer += chunk
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"^HTTP/1\.[01] (\d{3})", answer, re.MULTILINE)]


# ---- oversized and endless


@pytest.mark.parametrize("declared", [b"262145", b"1073741824", b"9" * 18])
def test_an_oversized_body_is_refused_before_it_is_sent(server: Server, declared: bytes) -> None:
    with connect(server) as client:
        client.sendall(POST + b"Content-Length: " + declared + b"\r\n\r\n")
        assert statuses(client.recv(65536)) == [413]


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Content-Length: 1073741824\r\n\r\n",
        POST + b"X-Long: ",
        b"POST /",
    ],
    ids=["chunks", "body", "header", "path"],
)
def test_who_sends_without_end_is_cut_off_and_not_kept_in_memory(
    server: Server, head: bytes
) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n" if b"chunked" in head else b"a" * 0x10000
    before = memory(server)
    with connect(server) as client, pytest.raises(OSError, match=GONE):
        client.sendall(head)
        give_up_at = time.monotonic() + CUT_OFF
        while time.monotonic() < give_up_at:
            client.sendall(chunk)
    assert memory(server) - before < 32 * MIB


def memory(server: Server) -> int:
    """What all of the server's processes hold."""
    found = [
        each
        for each in psutil.process_iter(["environ"])
        if (each.info["environ"] or {}).get("PORT") == str(server.port)
    ]
    assert found
    return sum(each.memory_info().rss for each in found)


def test_too_many_headers_are_refused(server: Server) -> None:
    assert statuses(talk(server, POST + b"X: y\r\n" * 5000 + b"\r\n")) in ([400], [431])


# ---- slow


@pytest.mark.parametrize("head", [POST + b"X: ", POST + b"Content-Length: 9999\r\n\r\n"])
def test_who_drips_is_cut_off(server: Server, head: bytes) -> None:
    with connect(server) as client, pytest.raises(OSError, match=GONE):
        client.sendall(head)
        give_up_at = time.monotonic() + CUT_OFF
        while time.monotonic() < give_up_at:
            client.sendall(b" ")
            time.sleep(0.1)


def test_who_never_reads_holds_up_nobody(server: Server) -> None:
    """Of all that ask and do not read, none keeps an honest client waiting (`still_there`)."""
    with ExitStack() as stack:
        for _ in range(16):
            client = stack.enter_context(connect(server))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0.2)
            with suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
                for _ in range(200):
                    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        wait_for(lambda: server.get("/healthz") == 200, "an honest client's turn", CUT_OFF)


# ---- header injection and request smuggling

INSIDE = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(INSIDE)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

SMUGGLED = {
    "two lengths": POST + LENGTH + b"Content-Length: 0\r\n\r\n" + INSIDE,
    "two lengths in one": POST + b"Content-Length: 0, %d\r\n\r\n" % len(INSIDE) + INSIDE,
    "a length and chunks": POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n" + INSIDE,
    "chunks and a length": POST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n" + INSIDE,
    "chunks twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + INSIDE,
    "another encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "chunks and then another": POST
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    + INSIDE,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "an encoding behind a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + INSIDE,
    "a folded header": POST + b"X: a\r\n b\r\n\r\n" + INSIDE,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + INSIDE,
    "a signed length": POST + b"Content-Length: +0\r\n\r\n" + INSIDE,
    "a length with an underscore": POST + b"Content-Length: 0_0\r\n\r\n" + INSIDE,
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n" + INSIDE,
    "no length but a word": POST + b"Content-Length: none\r\n\r\n" + INSIDE,
    "a chunk's size in words": POST + CHUNKED + b"\r\nzero\r\n\r\n" + INSIDE,
    "a chunk's size with a sign": POST + CHUNKED + b"\r\n+0\r\n\r\n" + INSIDE,
    "a chunk's size with 0x": POST + CHUNKED + b"\r\n0x0\r\n\r\n" + INSIDE,
    "a chunk longer than it says": POST + CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n" + INSIDE,
    "NUL in a header": POST + b"X: a\0b\r\n\r\n" + INSIDE,
    "a bare line feed in a header": POST + b"X: a\nX-Injected: b\r\n\r\n" + INSIDE,
    "a bare carriage return in a header": POST + b"X: a\rX-Injected: b\r\n\r\n" + INSIDE,
    "a space in a header's name": POST + b"X Y: a\r\n\r\n" + INSIDE,
    "no header's name": POST + b": a\r\n\r\n" + INSIDE,
    "no colon": POST + b"X\r\n\r\n" + INSIDE,
    "NUL in the path": b"POST /zoom-webhook\0 HTTP/1.1\r\nHost: x\r\n\r\n" + INSIDE,
    "a method of nothing": b" /zoom-webhook HTTP/1.1\r\nHost: x\r\n\r\n" + INSIDE,
    "a version of the future": b"POST /zoom-webhook HTTP/9.9\r\nHost: x\r\n\r\n" + INSIDE,
    "a long header": POST + b"X: " + b"a" * 65536 + b"\r\n\r\n" + INSIDE,
    "a long path": b"POST /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n" + INSIDE,
}


@pytest.mark.parametrize("sent", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_two_servers_could_read_in_two_ways_is_refused_and_ends_there(
    server: Server, sent: bytes
) -> None:
    (status,) = statuses(talk(server, sent))
    assert 400 <= status < 500 or status in (501, 505)


@pytest.mark.parametrize(
    "target",
    [
        b"//healthz?x=%0d%0aX-Injected:%20yes",
        b"//healthz%0d%0aX-Injected:%20yes",
        b"/healthz%0d%0aX-Injected:%20yes",
        b"//evil.example/%2f..",
        b"/%0d%0aX-Injected:%20yes",
        b"http://evil.example//healthz",
    ],
)
def test_nothing_of_a_request_becomes_a_header_of_the_answer(server: Server, target: bytes) -> None:
    answer = talk(server, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nx-injected" not in head
    assert b"evil.example" not in head
    assert statuses(answer)


@pytest.mark.parametrize("header", [b"SCRIPT_NAME", b"script_name", b"PATH_INFO"])
def test_no_header_names_another_path(server: Server, header: bytes) -> None:
    """gunicorn takes these from this machine, where a proxy may pass on what a client sent."""
    for path in (b"/healthz", b"/x/healthz"):
        sent = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        plain = statuses(talk(server, sent + b"\r\n"))
        assert statuses(talk(server, sent + header + b": /x\r\n\r\n")) == plain


@pytest.mark.parametrize(
    "header",
    [
        b"x-zm-signature: v0=" + b"0" * 64 + b"\r\nx-zm-signature: ",
        b"x_zm_signature: v0=1\r\nx_zm_request_timestamp: 1",
        b"X-HTTP-Method-Override: GET",
        b"X-Original-URL: /healthz",
        b"X-Forwarded-For: 127.0.0.1",
    ],
)
def test_no_header_stands_in_for_a_signature(server: Server, header: bytes) -> None:
    body = b'{"event":"x"}'
    sent = POST + header + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    (status,) = statuses(talk(server, sent))
    assert status in (400, 401)
