"""The process beside a worker, without a worker."""

from __future__ import annotations

import errno
import subprocess
from typing import Any

import pytest

from config import Config
from rtms.server import side_process
from rtms.server.side_process import SideProcess
from tests.conftest import ENVIRON
from tests.servers import wait_for


def test_it_is_started_when_there_is_room_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start: Any = subprocess.Popen
    failed: list[None] = []

    def without_room(*args: Any, **named: Any) -> Any:
        if len(failed) < 2:
            failed.append(None)
            raise OSError(errno.EMFILE, "Too many open files")
        return start(*args, **named)

    monkeypatch.setattr(subprocess, "Popen", without_room)
    monkeypatch.setattr(side_process, "_PROGRAM", "import sys; sys.stdin.buffer.read()")
    monkeypatch.setattr(side_process, "_AGAIN_SECONDS", 0.01)
    config = Config.from_environ({**ENVIRON, "EXTENSIONS": "json"})
    side = SideProcess(config)
    side.start()
    process = wait_for(lambda: side._process, "the process", 5)
    side.drain(5)
    assert process.returncode == 0
