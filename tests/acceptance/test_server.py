"""The real server, from Zoom's delivery to Recall's answer in the table."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from config import ROOT
from sandbox import Fault, RecallSandbox, Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.servers import PATIENCE, Server, creates, new_web_processes, wait_for


def connected(server: Server, count: int) -> None:
    """Wait until so many rows are connected."""
    wait_for(
        lambda: sum(row["state"] == "connected" for row in server.meetings()) == count,
        f"{count} connected rows",
    )


@contextmanager
def started_with(number: signal.Signals, disposition: signal.Handlers) -> Iterator[None]:
    """Let processes that are started meanwhile inherit what becomes of a signal."""
    before = signal.signal(number, disposition)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_meetings_whole_life(server: Server, zoom: ZoomSandbox, recall: RecallSandbox) -> None:
    server.start()
    assert zoom.validate().ok
    stream = Stream()
    start = events.started(stream)
    assert all(delivery.ok for delivery in zoom.deliver_at_once(start, copies=16))
    connected(server, 1)
    (row,) = server.meetings()
    (connection,) = recall.connections
    assert (row["recall_id"], row["status"]) == (connection.id, "connecting")
    assert connection.signature_ok
    assert zoom.deliver(start).ok
    assert zoom.deliver(events.stopped(stream)).ok
    (row,) = server.meetings()
    assert (row["state"], row["stop_reason"]) == ("ended", 6)
    assert len(recall.connections) == 1


def test_zoom_never_waits_for_recall(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    server.start()
    recall.set(latency=5.0)
    began = time.monotonic()
    assert all(zoom.deliver(events.started(Stream())).ok for _ in range(10))
    assert time.monotonic() - began < 5.0  # all ten before Recall has answered one
    connected(server, 10)


def test_no_acknowledged_meeting_is_lost_or_connected_twice_by_kill_9(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    """Killed at another moment of the burst in each round; the stand-in's ledger is the judge."""
    server.environ["RECALL_TIMEOUT_SECONDS"] = "1"  # leases of 8 s
    recall.set(latency=0.2)
    acknowledged = []
    for round_ in range(3):
        server.start()
        for number in range(12):
            stream = Stream()
            if zoom.deliver(events.started(stream)).ok:
                acknowledged.append(stream.rtms_stream_id)
            if number == 3 * round_ + 2:
                server.kill()
                break
    server.start()
    wait_for(
        lambda: {row["state"] for row in server.meetings()} == {"connected"},
        "every row to be connected",
    )
    rows = {row["rtms_stream_id"]: row for row in server.meetings()}
    summary = recall.summary()
    assert len(acknowledged) == 18
    for stream_id in acknowledged:
        assert rows[stream_id]["state"] == "connected"
        assert summary[stream_id]["created"] == 1
        assert summary[stream_id]["kicked_out"] == 0
        assert rows[stream_id]["recall_id"] == summary[stream_id]["connection_ids"][0]


def test_sigterm_lets_connects_in_flight_finish(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    master = server.start()
    recall.set(latency=3.0)
    assert all(zoom.deliver(events.started(Stream())).ok for _ in range(5))
    wait_for(lambda: len(creates(recall)) == 5, "five requests at Recall")
    assert server.terminate(master) == 0
    assert {(row["state"], row["lease_owner"]) for row in server.meetings()} == {
        ("connected", None)
    }
    assert len(recall.connections) == 5


def test_hup_reloads_without_losing_a_meeting(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    master = server.start()
    recall.set(latency=0.5)
    before = {worker.pid for worker in server.workers(master)}
    assert all(zoom.deliver(events.started(Stream())).ok for _ in range(4))
    master.send_signal(signal.SIGHUP)
    new_web_processes(server, master, before)
    assert all(zoom.deliver(events.started(Stream())).ok for _ in range(4))
    connected(server, 8)
    assert len(recall.connections) == 8


@pytest.mark.environ(DISPATCHER="off")
def test_workers_connect_what_the_web_process_only_receives(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    server.start()
    for _ in range(6):
        assert zoom.deliver(events.started(Stream())).ok
    assert {row["state"] for row in server.meetings()} == {"pending"}
    assert creates(recall) == []
    workers = [server.start_worker(), server.start_worker()]
    connected(server, 6)
    assert len(recall.connections) == 6
    recall.set(latency=2.0)
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: len(creates(recall)) == 7, "the seventh request")
    assert [server.terminate(worker) for worker in workers] == [0, 0]
    connected(server, 7)


@pytest.mark.environ(DISPATCHER="off")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_finishes_what_it_has_begun_whoever_ends_it(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox, number: signal.Signals
) -> None:
    """SIGHUP: a terminal that is closed."""
    server.start()
    with started_with(number, signal.SIG_DFL):
        worker = server.start_worker()
    recall.set(latency=1.0)
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: creates(recall), "the request")
    worker.send_signal(number)
    assert worker.wait(PATIENCE) == 0
    assert [row["state"] for row in server.meetings()] == ["connected"]


def test_two_who_end_a_worker_at_once_are_heard(server: Server) -> None:
    with started_with(signal.SIGHUP, signal.SIG_DFL):
        worker = server.start_worker()
    worker.send_signal(signal.SIGHUP)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0


def test_a_worker_that_is_to_outlive_its_terminal_does(server: Server) -> None:
    with started_with(signal.SIGHUP, signal.SIG_IGN):  # as nohup does
        worker = server.start_worker()
    status = Path(f"/proc/{worker.pid}/status").read_text()
    (ignored,) = re.findall(r"^SigIgn:\s+(\w+)$", status, re.MULTILINE)
    assert int(ignored, 16) & 1 << signal.SIGHUP - 1


def test_a_database_that_goes_away_and_comes_back(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox, request: pytest.FixtureRequest
) -> None:
    """PostgreSQL refuses everybody for a while; Zoom gets 503, and the dispatcher comes back."""
    if not server.environ["DATABASE_URL"].startswith("postgres"):
        pytest.skip("SQLite's file has no server that could go away")
    postgres = request.getfixturevalue("postgres")
    name = server.environ["DATABASE_URL"].split("?")[0].rsplit("/", 1)[1]
    server.start()
    assert zoom.deliver(events.started(Stream())).ok
    connected(server, 1)
    postgres.psql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false;')
    postgres.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{name}';")
    stream = Stream()
    refused = wait_for(
        lambda: (one := zoom.deliver(events.started(stream))).status == 503 and one, "a 503"
    )
    assert "deliver it again" in refused.answer
    assert server.get("/readyz") == 503
    assert server.get("/healthz") == 200
    postgres.psql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true;')
    wait_for(lambda: zoom.deliver(events.started(stream)).ok, "the server to come back")
    wait_for(lambda: server.get("/readyz") == 200, "the server to be ready again")
    wait_for(
        lambda: stream.rtms_stream_id in {each.stream_id for each in recall.connections},
        "the dispatcher to come back",
    )


def test_a_postgresql_that_is_not_migrated_is_named_and_nothing_is_acknowledged(
    server: Server, zoom: ZoomSandbox, request: pytest.FixtureRequest
) -> None:
    if not server.environ["DATABASE_URL"].startswith("postgres"):
        pytest.skip("SQLite migrates itself")
    postgres = request.getfixturevalue("postgres")
    postgres.psql("CREATE DATABASE empty_one;")
    server.environ["DATABASE_URL"] = postgres.get_uri("empty_one")
    server.start(ready=False)
    wait_for(lambda: server.get("/healthz") == 200, "the server")
    answer = requests.get(f"{server.url}/readyz", timeout=5)
    assert answer.status_code == 503
    assert "flask db upgrade" in answer.text
    assert "flask db upgrade" in server.log()
    assert zoom.deliver(events.started(Stream())).status == 503
    assert server.flask("db", "upgrade").returncode == 0
    wait_for(lambda: server.get("/readyz") == 200, "the server to be ready")
    assert zoom.deliver(events.started(Stream())).ok


BAD_ENVIRONS = {
    "nothing set": dict.fromkeys(ENVIRON, ""),
    "an option that PostgreSQL does not know": {
        "DATABASE_URL": "postgres://user:hunter2@127.0.0.1:1/rtms?pgbouncer=true"
    },
    "several wrong": {
        "RECALL_REGION": "mars",
        "CONNECT_THREADS": "many",
        "DATABASE_URL": "mysql://user:hunter2@host/db",
        "RECORDING_CONFIG": "[]",
        "ZOOM_CLIENT_SECRET": "",
    },
}


@pytest.mark.parametrize("command", [("gunicorn", "-b", ":0", "app:app"), ("flask", "worker")])
def test_a_proxy_that_can_never_work_is_refused_at_the_start(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            **ENVIRON,
            "RECALL_BASE_URL": "https://us-east-1.recall.ai",
            "DATABASE_URL": f"sqlite:///{tmp_path}/rtms.sqlite3",
            "ALL_PROXY": "socks5://user:hunter2@127.0.0.1:1080",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode in (1, 3)
    assert "Recall cannot be reached: ALL_PROXY names a SOCKS proxy" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("wrong", BAD_ENVIRONS.values(), ids=BAD_ENVIRONS.keys())
@pytest.mark.parametrize("how", ["gunicorn", "gunicorn without our settings", "flask", "worker"])
def test_a_bad_configuration_ends_every_process_and_names_all_that_is_wrong(
    tmp_path: Path, wrong: dict[str, str], how: str
) -> None:
    command = {
        "gunicorn": ["gunicorn", "--bind", "127.0.0.1:0", "app:app"],
        # Any module without settings will do.
        "gunicorn without our settings": ["gunicorn", "-c", "python:json", "-b", ":0", "app:app"],
        "flask": ["flask", "meetings", "list"],
        "worker": ["flask", "worker"],
    }[how]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **ENVIRON, **wrong}
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    for name in wrong:
        if wrong[name] or name in ("ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"):
            assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_no_secret_is_in_anything_the_server_writes(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    """A life with every kind of trouble at the most talkative level; then the log and the rows
    are searched for each secret and each signature."""
    server.environ["LOG_LEVEL"] = "DEBUG"
    server.start()
    zoom.validate()
    for fault in (
        Fault(kind="status", path="create", status=400, body=f"bad {ENVIRON['RECALL_API_KEY']}"),
        Fault(kind="status", path="create", status=503),
        Fault(kind="firewall", path="create"),
        Fault(kind="reset_after", path="create"),
    ):
        recall.add_fault(fault)
        assert zoom.deliver(events.started(Stream())).ok
        wait_for(lambda: all(r["state"] != "pending" for r in server.meetings()), "an end")
    zoom.deliver(events.started(Stream()), signature="v0=" + "f" * 64)
    zoom.deliver({"event": "endpoint.url_validation", "payload": {"plainToken": "v0:1:x"}})
    written = (
        server.log() + str(server.meetings()) + server.flask("events", "list", "--json").stdout
    )
    assert "not connected" in written
    for name in ("ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_SECRET", "RECALL_API_KEY"):
        assert ENVIRON[name] not in written, name
    assert "f" * 64 not in written
    assert "signature=" not in written


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"zz\r\n", b"400"),
        (b"2\r\n{}XX\r\n", b"400"),
        (b"80000\r\n" + b" " * 0x80000 + b"\r\n0\r\n\r\n", b"413"),
    ],
    ids=["no chunk", "no end of a chunk", "more than is read"],
)
def test_a_chunked_body_that_cannot_be_read_is_refused(
    server: Server, body: bytes, status: bytes
) -> None:
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(
            b"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        )
        assert client.recv(100).split()[1] == status
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("part", ["silence", "header", "body"])
def test_clients_that_send_slowly_are_cut_off(server: Server, zoom: ZoomSandbox, part: str) -> None:
    """As many as there are threads, in all processes: Zoom waits until they are cut off."""
    server.start()
    with ExitStack() as stack:
        for _ in range(16):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            stack.enter_context(client)
            if part != "silence":
                client.sendall(b"POST /zoom-webhook HTTP/1.1\r\nHost: x\r\n")
            if part == "body":
                client.sendall(b"Content-Length: 1000\r\n\r\n{")
        assert zoom.deliver(events.started(Stream())).status == 200
    assert len(server.meetings()) == 1


def test_the_server_leaves_nothing_running(server: Server) -> None:
    master = server.start()
    family = [psutil.Process(master.pid), *server.workers(master)]
    assert len(family) == 3
    assert server.terminate(master) == 0
    assert not any(process.is_running() for process in family)
