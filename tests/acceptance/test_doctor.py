"""`flask doctor` as an operator runs it: beside the real server, on each engine in turn."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from config import ROOT
from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.databases import on_one_engine
from tests.servers import Server, wait_for


def grades(server: Server) -> dict[str, set[str]]:
    """What was found, by what it is about."""
    told = json.loads(server.flask("doctor", "--json").stdout)
    found: dict[str, set[str]] = {}
    for each in told["findings"]:
        found.setdefault(each["about"], set()).add(each["grade"])
    return found


def test_beside_a_server_that_works(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    server.environ["PUBLIC_URL"] = server.url
    server.start()
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: grades(server)["processes"] == {"ok"}, "the processes to be seen")
    told = server.flask("doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1].startswith("Nothing failed, ")
    assert "\x1b" not in told.stdout
    found = grades(server)
    for about in ("challenge", "readyz", "forgery", "oracle", "Recall", "clock", "deliveries"):
        assert found[about] == {"ok"}, (about, told.stdout)
    log = server.log()
    for variable, value in ENVIRON.items():
        if "SECRET" in variable or "KEY" in variable:
            assert value not in told.stdout + told.stderr + log


@on_one_engine
def test_beside_a_server_that_was_never_started(server: Server) -> None:
    server.environ["PUBLIC_URL"] = server.url
    told = server.flask("doctor")
    assert told.returncode == 1
    assert "could not be reached" in " ".join(told.stdout.split())
    assert "Traceback" not in told.stderr


@on_one_engine
def test_beside_a_server_with_another_secret_token(server: Server) -> None:
    server.environ["PUBLIC_URL"] = server.url
    server.start()
    server.environ["ZOOM_SECRET_TOKEN"] = "a-token-of-another-app"
    found = grades(server)
    assert found["challenge"] == {"failure"}
    assert found["oracle"] == {"ok"}


@on_one_engine
def test_a_configuration_that_is_wrong_is_told_before_anything_else(server: Server) -> None:
    server.environ.update(RECALL_API_KEY="", ZOOM_CLIENT_ID="replace-with-the-client-id", PORT="x")
    told = server.flask("doctor", "--json")
    said = json.loads(told.stdout)
    assert (told.returncode, said["ok"], said["findings"]) == (3, False, [])
    for problem in ("RECALL_API_KEY is not set", "placeholder", "PORT must be a whole number"):
        assert problem in said["error"]
    assert "Traceback" not in told.stderr
    assert ENVIRON["ZOOM_CLIENT_SECRET"] not in told.stdout + told.stderr


@on_one_engine
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_on_a_terminal(server: Server, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    away = "http://127.0.0.1:1"  # so that something fails
    environ = {**server.environ, "TERM": "xterm-256color", "RECALL_BASE_URL": away}
    if no_color:
        environ["NO_COLOR"] = no_color
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "doctor"],
        cwd=ROOT,
        env=environ,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        shown = _everything(ours)
        assert process.wait(60) == 1
    assert b"failure" in shown
    assert (b"\x1b[1;31mfailure" in shown) is coloured
    assert b"31m" not in shown or coloured


def _everything(terminal: int) -> bytes:
    shown = b""
    with suppress(OSError):  # what Linux says at the end of a terminal
        while chunk := os.read(terminal, 65536):
            shown += chunk
    os.close(terminal)
    return shown
