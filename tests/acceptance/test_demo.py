"""`make demo` works on any machine, says why when it does not, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from sandbox import ZoomSandbox
from tests.servers import wait_for

HOSTILE = {
    "DATABASE_URL": "garbage",
    "DISPATCHER": "off",
    "DYNO": "x",
    "GUNICORN_CMD_ARGS": "--bind 0.0.0.0:1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "RECALL_REGION": "mars",
    "WEB_CONCURRENCY": "0",
}
SECONDS = 90  # for a run, on a machine that does other things as well


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo puts what is temporary; nothing of it may be left, and no process either."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert [
        each for each in psutil.process_iter() if _environ(each).get("TMPDIR") == str(folder)
    ] == []


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:  # another user's, or gone
        return {}


@contextmanager
def started(
    project: Path, folder: Path, arguments: Sequence[str] = (), **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Start the demo, as `make demo` does; it is killed if it does not end by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.demo", *arguments],
        cwd=project,
        env={**os.environ, "COLUMNS": "", **variables, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_signals,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def _heed_signals() -> None:
    """Whoever runs the tests may ignore some, as `nohup` does, and a child inherits that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_no_setting_of_the_users_changes_the_demo(project: Path, folder: Path) -> None:
    (project / ".env").write_text("\n".join(f"{name}={text}" for name, text in HOSTILE.items()))
    with started(project, folder, **HOSTILE) as demo:
        told, trouble = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, trouble) == (0, "")
    assert re.search(r"^ID +Received \(UTC\) +State +Meeting +Topic +At Recall", told, re.MULTILINE)
    rows = re.findall(r"^(\d) +\d{4}-\d\d-\d\d \d\d:\d\d +(\w+) +(\d+) ", told, re.MULTILINE)
    assert rows == [
        ("6", "done", "84444444444"),
        ("5", "done", "84444444444"),
        ("4", "done", "83333333333"),
        ("3", "done", "82222222222"),
        ("2", "done", "82222222222"),
        ("1", "done", "81111111111"),
    ]
    assert "81111111111 was delivered 5 times" in told
    assert "make demo KEEP=1" in told
    assert "waiting for flask" not in told  # it would stand below what the command printed
    assert re.search(r"^\S+_video\.mp4 \([\d.]+ kB\)$", told, re.MULTILINE)
    assert "WEBVTT" in told
    video, captions = (project / "recordings" / name for name in ("demo.mp4", "demo.vtt"))
    assert f"video        {video}" in told and f"transcript   {captions}" in told
    assert video.stat().st_size > 10_000 and captions.read_text("utf-8").startswith("WEBVTT\n")


def test_a_server_that_cannot_start_is_told_with_its_log(project: Path, folder: Path) -> None:
    (project / "app.py").write_text("raise RuntimeError('this application cannot be imported')")
    with started(project, folder) as demo:
        told, trouble = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 1
    assert "The server ended by itself" in trouble
    assert "this application cannot be imported" in trouble
    assert "The server is ready" not in told


def test_keep_leaves_the_server_up_with_a_dashboard_and_meetings_that_arrive(
    project: Path, folder: Path
) -> None:
    with started(project, folder, arguments=["--keep"]) as demo:
        assert demo.stdout is not None
        told = {}
        typed = ""  # what the demo says to type in a second terminal
        for line in demo.stdout:
            if re.match("  (cd|[.]|flask) ", line):
                typed += line
            if found := re.fullmatch(r"  (address|password) +(\S+)\n", line):
                told[found[1]] = found[2]
            if "starts" in line and "password" in told:
                break  # a meeting, after the story
        with requests.Session() as browser:
            page = browser.post(
                told["address"] + "login",
                data={"password": told["password"]},
                headers={"Origin": told["address"].rstrip("/")},
                timeout=10,
            )
            assert page.status_code == 200
            assert wait_for(
                lambda: len(re.findall(r"/meetings/\d+", _meetings(browser, told["address"]))) > 4,
                "a fifth meeting in the dashboard",
            )
        typed += "flask meetings link 1 && flask meetings refresh 1\n"
        second = subprocess.run(
            ["sh", "-e", "-c", typed], cwd=folder, capture_output=True, text=True, timeout=SECONDS
        )
        assert second.returncode == 0, second.stderr
        assert "81111111111" in second.stdout and "http://127.0.0.1:" in second.stdout
        demo.send_signal(signal.SIGINT)
        rest, trouble = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, trouble) == (0, "")
    assert "Nothing is left running" in rest
    assert "make run" in rest and "KEEP=1" not in rest


def _meetings(browser: requests.Session, address: str) -> str:
    return browser.get(address + "meetings", timeout=10).text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_leaves_early_leaves_nothing_running(
    project: Path, folder: Path, number: signal.Signals
) -> None:
    with started(project, folder) as demo:
        assert demo.stdout is not None
        assert any("The server is ready" in line for line in demo.stdout)
        demo.send_signal(number)
        _, trouble = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, trouble) == (128 + number, "")


def test_whoever_leaves_in_the_midst_of_copies_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise KeyboardInterrupt
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with ZoomSandbox("http://127.0.0.1:9/", "token") as zoom, pytest.raises(KeyboardInterrupt):
        zoom.deliver_at_once({}, copies=4)
    for thread in begun:
        thread.join(10)
    assert [thread.is_alive() for thread in begun] == [False, False]
