"""The process beside a gunicorn worker, which runs the user's own code and keeps recordings."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.acceptance.conftest import EXTENSIONS
from tests.acceptance.test_together import on_one_engine
from tests.servers import Server, wait_for

pytestmark = pytest.mark.environ(WEB_CONCURRENCY="1")


@pytest.fixture
def told(server: Server, tmp_path: Path) -> Path:
    """The file in which a slow subscriber notes what it was told."""
    file = tmp_path / "told"
    file.touch()
    server.extend(EXTENSIONS, "slow_subscriber", TOLD=str(file))
    return file


def beside(server: Server, worker: psutil.Process) -> psutil.Process:
    """The process beside a worker, once it is there."""
    found: list[psutil.Process] = wait_for(worker.children, "the process beside the worker")
    return found[0]


def test_deliveries_do_not_wait_for_the_users_own_code(
    server: Server, zoom: ZoomSandbox, told: Path
) -> None:
    server.start()
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: "begun 1" in told.read_text(), "the subscriber to begin")
    took = []
    while "done 1" not in told.read_text():
        began = time.monotonic()
        assert zoom.deliver(events.started(Stream())).ok
        took.append(time.monotonic() - began)
    assert took
    assert max(took) < 2.0


@on_one_engine
def test_it_is_started_again_and_ends_with_its_worker(
    server: Server, zoom: ZoomSandbox, told: Path
) -> None:
    master = server.start()
    (worker,) = server.workers(master)
    killed = beside(server, worker)
    killed.kill()
    wait_for(lambda: beside(server, worker).pid != killed.pid, "another process")
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: "done" in told.read_text(), "the subscriber")
    orphan = beside(server, worker)
    worker.kill()
    wait_for(lambda: not orphan.is_running(), "it to end without its worker")
    wait_for(lambda: server.get("/readyz") == 200, "another worker")
    (worker,) = server.workers(master)
    last = beside(server, worker)
    assert server.terminate(master) == 0
    assert not last.is_running()


@on_one_engine
def test_a_recording_is_kept_by_it(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    server.environ["ARCHIVE_URL"] = str(archive)
    server.start()
    stream = Stream()
    assert zoom.deliver(events.started(stream)).ok
    wait_for(lambda: recall.connections, "the connection")
    recall.end_stream(stream.rtms_stream_id)
    assert zoom.deliver(events.stopped(stream)).ok
    assert server.flask("meetings", "refresh", "1").returncode == 0  # sooner than by itself
    wait_for(lambda: list(archive.rglob("*.json")), "its manifest")
    assert "Traceback" not in server.log()
