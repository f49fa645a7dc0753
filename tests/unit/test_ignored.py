"""What people and the program write into the project's folder never gets into git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from config import ROOT

WRITTEN = {
    "instance/rtms.sqlite3",
    "recordings/2026-11-22T0930Z_Weekly-sync_video.mp4",
    "recordings/.2026-11-22T0930Z_Weekly-sync_video.mp4.part",
    "videos/2026-11-22T0930Z_Weekly-sync_video.mp4",
    "elsewhere/.a_video.mp4.part.json",
    "rtms.sqlite3",  # DATABASE_URL=sqlite:///rtms.sqlite3
    "rtms.sqlite3-wal",
    "rtms.sqlite3-shm",
    "rtms.sqlite3.lock",
    "data/rtms.db",
    "data/rtms.db-wal",
    "data/rtms.db.lock",
    "rtms-2026-11-22.sqlite3",
    "rtms.dump",
    "meeting.vtt",
    ".env",
    ".env.local",
    ".env.bak",
    ".env~",
    ".venv/bin/python",
}
KEPT = {".env.example", "my_subscribers.py", "rtms/recordings/library.py", "rtms/db/database.py"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    return tmp_path


def test_git_ignores_what_is_written_and_keeps_what_is_the_programs(repository: Path) -> None:
    asked = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        cwd=repository,
        input="\n".join(WRITTEN | KEPT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(asked.stdout.split("\n")) - {""} == WRITTEN
