"""SQLite's file is locked by somebody else, and its disk gets full."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from models import CONNECTS
from rtms import clock
from rtms.db.database import Database
from sandbox import RecallSandbox, Stream
from tests.chaos.client import Client, more, refused
from tests.chaos.disks import full, mounted
from tests.chaos.judge import assert_acknowledged_is_connected_once, assert_was_only_refusing
from tests.servers import Server, wait_for

LOCKED_SECONDS = 10.0

# Each locks what it is told to, says so, and holds it until its input ends.
LOCKS = {
    "a transaction of its own": """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
held.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
""",
    "the lock file": """
import fcntl, sys
held = open(sys.argv[1] + ".lock", "a")
fcntl.flock(held, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path


@pytest.fixture
def database_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'rtms.sqlite3'}"


@contextmanager
def locked(script: str, database: Path) -> Iterator[None]:
    """Let another process hold a lock meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout and holder.stdin
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.stdin.close()


@pytest.mark.parametrize("script", LOCKS.values(), ids=LOCKS.keys())
def test_sqlite_is_locked_by_another_process_for_ten_seconds(
    server: Server, client: Client, recall: RecallSandbox, folder: Path, script: str
) -> None:
    """Zoom has its 503 before it gives up, however many deliveries wait; then all goes on."""
    server.start()
    recall.set(latency=0.3)
    with client.burst():
        more(client, 10)
        with locked(script, folder / "rtms.sqlite3"):
            under_way = len(client.acknowledged) + 4  # of each sender, one
            time.sleep(LOCKED_SECONDS)
            assert len(client.acknowledged) <= under_way
            assert client.statuses[503] > 0
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert set(client.statuses) == {200, 503}, "Zoom waits three seconds for an answer"
    assert "Traceback" not in server.log()


@contextmanager
def unable_to_write(processes: list[psutil.Process]) -> Iterator[None]:
    """Let the kernel refuse whatever these would write to a file, the log as well."""
    limits = [process.rlimit(psutil.RLIMIT_FSIZE) for process in processes]
    for process, (_, hard) in zip(processes, limits, strict=True):
        process.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for process, limit in zip(processes, limits, strict=True):
            process.rlimit(psutil.RLIMIT_FSIZE, limit)


def threads(processes: list[psutil.Process]) -> set[int]:
    """The system's ids for their threads. More of them may come; none may go."""
    return {thread.id for process in processes for thread in process.threads()}


def let_all_be_due(url: str) -> None:
    """Let each lane want to write: one looks for rows to connect, one for rows to ask about."""
    rows = CONNECTS.update().where(CONNECTS.c.leased_until.is_(None)).values(due_at=clock.now())
    database = Database(sa.make_url(url))
    database.write(lambda connection: connection.execute(rows))
    database.dispose()


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="no such limit on this system")
@pytest.mark.environ(RECALL_TIMEOUT_SECONDS="2")  # leases of 11 s
def test_files_cannot_be_written_for_a_while(
    server: Server, client: Client, recall: RecallSandbox, database_url: str
) -> None:
    """As on a disk that is full, with the log on it; the error is another one (EFBIG). What a
    thread says that ends of it may be lost, too, so the threads are compared."""
    master = server.start()
    recall.set(latency=0.3)
    connected, waiting = Stream(), Stream()
    recall.add_fault("status", stream=waiting.rtms_stream_id, status=503, retry_after=30)
    for stream in (connected, waiting):
        client.start_until_acknowledged(stream)
    wait_for(lambda: all(row["attempts"] for row in server.meetings()), "a try of each")
    workers = server.workers(master)
    with client.burst():
        more(client, 10)
        before = threads(workers)
        with unable_to_write(workers):
            let_all_be_due(database_url)
            refused(client, 80)  # for two seconds: every lane looks for rows twice a second
        more(client, 10)
    assert before <= threads(workers), "threads have ended"
    lanes = 2 * len(workers)
    wait_for(
        lambda: server.log().count("the database answers again") >= lanes,
        lambda: f"every lane to have met it, and to go on:\n{server.log()}",
    )
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert "Exception in thread" not in server.log()
    assert set(client.statuses) == {200, 503}, "a delivery gets an answer all the same"


class TestOnASmallDisk:
    """The database lies on it; the log does not."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        with mounted(disk, megabytes=8):
            yield disk

    def test_the_disk_is_full_for_a_while(
        self, server: Server, client: Client, recall: RecallSandbox, folder: Path
    ) -> None:
        server.start()
        recall.set(latency=0.3)
        with client.burst():
            more(client, 10)
            with full(folder):
                refused(client, 10)
            more(client, 10)
        assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
        assert_was_only_refusing(server, client.statuses)
