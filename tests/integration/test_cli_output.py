"""Commands whose output cannot be written say so in words, and exit with 1."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import ScriptInfo

from sandbox import Stream, events
from tests.integration.conftest import Zoom
from tests.integration.test_recordings import meeting

__all__ = ["meeting"]

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(
    not FULL.exists(), reason="only Linux has a disk that is always full"
)
Ending = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def ending(
    app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ending:
    """Run a command with its output on a full disk; returns how it exits and what it says."""

    def run(*args: str, encoding: str = "utf-8", to: Path = FULL) -> tuple[int | str | None, str]:
        with to.open("w", encoding=encoding) as output, pytest.raises(SystemExit) as exited:
            monkeypatch.setattr(sys, "stdout", output)
            app.cli.main(args=args, prog_name="flask", obj=ScriptInfo(create_app=lambda: app))
        return exited.value.code, capsys.readouterr().err

    return run


COMMANDS = """
    meetings list
    meetings list --json
    meetings list --state failed
    meetings list --help
    meetings --help
    meetings show 1
    meetings show 1 --json
    meetings refresh 1 --json
    meetings prune --yes
    events list
    events list --json
    events show 1
    events replay 1
    events prune --yes --json
    db current
    db upgrade
    doctor
    doctor --json
    doctor --help
"""


def test_output_to_a_full_disk_is_said_in_words(zoom: Zoom, ending: Ending) -> None:
    zoom.deliver(events.started(Stream()))
    for args in COMMANDS.strip().splitlines():
        code, said = ending(*args.split())
        assert (code, "Traceback" in said) == (1, False), args
        assert "Error: The output could not be written: the disk is full." in said, args


def test_what_recall_has_of_a_meeting_to_a_full_disk(meeting: Stream, ending: Ending) -> None:
    for args in ("transcript 1", "transcript 1 --format json", "link 1", "link 1 --json"):
        code, said = ending("meetings", *args.split())
        assert (code, said.count("the disk is full")) == (1, 1), args


def test_a_download_that_cannot_say_what_it_brought(
    meeting: Stream, ending: Ending, tmp_path: Path
) -> None:
    code, said = ending("meetings", "download", "1", "--to", str(tmp_path))
    assert (code, said.count("the disk is full")) == (1, 1)
    assert list(tmp_path.iterdir())


def test_output_in_an_encoding_that_has_not_all_letters(
    meeting: Stream, ending: Ending, tmp_path: Path
) -> None:
    told = tmp_path / "transcript.txt"
    code, said = ending("meetings", "transcript", "1", encoding="latin-1", to=told)
    assert code == 1
    assert "latin-1 cannot encode '\\U0001f44b'" in said and "PYTHONIOENCODING=utf-8" in said


@pytest.mark.parametrize("output", ["/dev/full", "a closed pipe"])
def test_the_process_exits_without_a_traceback(environ: dict[str, str], output: str) -> None:
    if output == "a closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(output, os.O_WRONLY)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "flask", "db", "upgrade"],
            env={"PATH": os.environ["PATH"], **environ},
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert ran.returncode == 1
    words = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert len(words) == (output == "/dev/full")
    assert "Traceback" not in ran.stderr and "Exception ignored" not in ran.stderr
