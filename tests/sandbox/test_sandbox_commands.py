"""Another process can start the stand-ins and steer them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from sandbox.__main__ import main

ROOT = Path(__file__).parents[2]
PATH = "/api/v1/meeting_direct_connect"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that knows the key."""
    with requests.Session() as session:
        session.headers["Authorization"] = "Token key"
        yield session


def test_recall_is_steered_from_another_process(session: requests.Session) -> None:
    command = [sys.executable, "-m", "sandbox", "recall", "--api-key", "key"]
    command += ["--limit", "1/3600", "--processing-seconds", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            control = url + "/_sandbox/"
            fault = {"kind": "status", "status": 503, "path": "create", "times": 1}
            assert session.post(control + "faults", json=[fault], timeout=30).status_code == 201
            wrong = session.post(control + "faults", json={"kind": "no such"}, timeout=30)
            assert wrong.status_code == 400 and "no such" in wrong.json()["error"]
            rtms = dict.fromkeys(("meeting_uuid", "server_urls", "signature"), "x")

            def create(stream: str) -> int:
                body = {"zoom_rtms": rtms | {"rtms_stream_id": stream}, "recording_config": {}}
                return session.post(url + PATH, json=body, timeout=30).status_code

            assert [create("a/+="), create("a/+="), create("b")] == [503, 201, 429]
            settings = {"limit": None, "latency": 0}
            assert session.post(control + "settings", json=settings, timeout=30).ok
            assert create("b") == 201
            assert session.post(control + "streams/a%2F%2B%3D/end", timeout=30).status_code == 204
            assert session.post(control + "streams/c/end", timeout=30).status_code == 404

            ledger = session.get(control + "ledger", timeout=30).json()
            assert [each["outcome"] for each in ledger] == [
                "fault:status",
                "created",
                "rate_limited",
                "created",
            ]
            summary = session.get(control + "summary", timeout=30).json()
            assert (summary["a/+="]["requests"], summary["a/+="]["created"]) == (2, 1)
            made = session.get(control + "connections", timeout=30).json()
            assert [each["ended_by"] for each in made] == ["stream_ended", None]
            assert session.delete(control + "faults", timeout=30).status_code == 204
            assert session.get(control + "notices", timeout=30).json() == []
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_zoom_tells_a_person_what_came_of_it() -> None:
    options = ["zoom", "--endpoint", "http://127.0.0.1:9/", "--secret-token", "x"]
    for command in ("validate", "start", "stop", "interrupt", "failover", "near-limit", "limited"):
        result = CliRunner().invoke(main, [*options, command])
        assert result.exit_code == 1, result.output
        assert "FAILED" in result.output
