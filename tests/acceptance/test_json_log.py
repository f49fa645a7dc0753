"""With LOG_FORMAT=json every line that a server writes is a JSON object, from first to last."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.servers import PATIENCE, Server, a_server, new_web_processes, wait_for

WITH_TROUBLE = """
import logging, threading, warnings
from rtms.signals import stream_connected

warnings.warn("a warning")
logging.getLogger("somebody").warning("said by a library: %s", "x")
logging.getLogger("somebody").error("on two\\nlines")

def break_off():
    raise RuntimeError("in a thread")

@stream_connected.connect
def tell(app, **_):
    threading.Thread(target=break_off).start()
    raise ValueError("in a subscriber")
"""


@contextmanager
def json_server(tmp_path: Path, recall_url: str = "", **variables: str) -> Iterator[Server]:
    environ = {
        **ENVIRON,
        "DATABASE_URL": f"sqlite:///{tmp_path}/rtms.sqlite3",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(tmp_path),
        **({"RECALL_BASE_URL": recall_url} if recall_url else {}),
        **variables,
    }
    with a_server(environ, tmp_path / "server.log") as server:
        yield server


def lines(server: Server) -> list[dict[str, Any]]:
    """The log's lines, each of which is an object that says what, when and how bad."""
    read = []
    for text in server.log().splitlines():
        line = json.loads(text)
        assert {"event", "level", "timestamp"} <= set(line), text
        read.append(line)
    return read


def said(server: Server) -> str:
    return "\n".join(f"{each['event']} {each.get('exception', '')}" for each in lines(server))


def test_a_servers_whole_life(tmp_path: Path, recall: RecallSandbox) -> None:
    (tmp_path / "trouble.py").write_text(WITH_TROUBLE)
    with json_server(tmp_path, recall.url, EXTENSIONS="trouble", LOG_LEVEL="DEBUG") as server:
        master = server.start()
        with ZoomSandbox(f"{server.url}/zoom-webhook", ENVIRON["ZOOM_SECRET_TOKEN"]) as zoom:
            assert zoom.deliver(events.started(Stream())).ok
            zoom.deliver(events.started(Stream()), signature="v0=" + "0" * 64)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"no HTTP\r\n\r\n")
            client.recv(1000)
        wait_for(lambda: "in a subscriber" in server.log(), "the subscriber")
        wait_for(lambda: "in a thread" in server.log(), "the thread")
        before = {each.pid for each in server.workers(master)}
        master.send_signal(signal.SIGHUP)
        new_web_processes(server, master, before)
        wait_for(lambda: server.log().count("Worker ready") == 4, "both to be ready")
        server.workers(master)[0].kill()
        wait_for(lambda: "was sent SIGKILL" in server.log(), "the master to notice")
        wait_for(lambda: len(server.workers(master)) == 2, "another process")
        wait_for(lambda: server.log().count("Worker ready") == 5, "it to be ready")
        assert server.terminate(master) == 0
        told = said(server)
    assert lines(server)[0]["event"].startswith("Starting gunicorn")
    assert lines(server)[-1]["event"].startswith("Shutting down")
    for words in (
        *("Listening at", "Worker ready", "accepts the API key", "Handling signal: hup"),
        *(
            "said by a library: x",
            "UserWarning: a warning",
            "RuntimeError: in a thread",
            "ValueError: in a subscriber",
        ),
        *("delivery refused", "connected", "on two\nlines"),
    ):
        assert words in told, words


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RECALL_API_KEY": "", "PORT": "many"}, "RECALL_API_KEY is not set.\n  - PORT must be"),
        ({"EXTENSIONS": "no_such_module"}, "EXTENSIONS: no_such_module cannot be imported"),
        ({"EXTENSIONS": "broken"}, "RuntimeError: a bug of somebody's"),
        ({"PUBLIC_URL": "https://apps.example/metrics"}, "must not have /metrics as its path"),
        ({"DATABASE_URL": "sqlite:////proc/none/rtms.sqlite3"}, "/proc/none"),
        ({"ALL_PROXY": "socks5://127.0.0.1:1", "RECALL_BASE_URL": ""}, "ALL_PROXY names a SOCKS"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_server_that_cannot_start(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    (tmp_path / "broken.py").write_text('raise RuntimeError("a bug of somebody\'s")')
    with json_server(tmp_path, **variables) as server:
        server.environ |= {"PORT": variables.get("PORT", str(server.port))}
        assert server.start(ready=False).wait(PATIENCE) != 0
        assert words in said(server)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with json_server(tmp_path) as server, socket.create_server(("127.0.0.1", server.port)):
        assert server.start(ready=False).wait(PATIENCE) == 1
        assert "Connection in use" in said(server)


def test_a_reload_changes_the_format(tmp_path: Path, project: Path) -> None:
    with json_server(tmp_path) as server:
        del server.environ["LOG_FORMAT"]
        server.root = project
        dotenv = project / ".env"
        dotenv.write_text("LOG_FORMAT=json\n")
        master = server.start()
        before = {each.pid for each in server.workers(master)}
        assert lines(server)
        dotenv.write_text("LOG_FORMAT=console\n")
        master.send_signal(signal.SIGHUP)
        new_web_processes(server, master, before)
        assert server.terminate(master) == 0
        first, *_, last = server.log().splitlines()
    assert json.loads(first)["event"].startswith("Starting gunicorn")
    assert last.endswith("[INFO] Shutting down: Master")


@pytest.mark.parametrize("wrong", [False, True], ids=["it runs", "it cannot start"])
def test_a_worker(tmp_path: Path, recall: RecallSandbox, wrong: bool) -> None:
    (tmp_path / "trouble.py").write_text(WITH_TROUBLE)
    variables = {"CONNECT_THREADS": "many"} if wrong else {}
    with json_server(tmp_path, recall.url, **variables) as server:
        if wrong:
            assert server.start_workers(1, ready=False)[0].wait(PATIENCE) == 3
            assert "CONNECT_THREADS must be" in said(server)
            return
        worker = server.start_worker()
        wait_for(lambda: "accepts the API key" in server.log(), "Recall's word")
        assert server.terminate(worker) == 0
        assert lines(server)[-1]["event"].startswith("worker stopping")
