"""How the web processes leave, on the real server."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from sandbox.faults import Fault
from tests.acceptance.test_together import on_one_engine
from tests.servers import Server, creates, wait_for

pytestmark = pytest.mark.environ(WEB_CONCURRENCY="1")

HANDED_BACK = "handed back in flight"


@pytest.fixture
def master(server: Server, zoom: ZoomSandbox, recall: RecallSandbox) -> subprocess.Popen[bytes]:
    """A server that connects a stream, and waits for Recall."""
    recall.add_fault(Fault(kind="hang", path="create"))
    started = server.start()
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: creates(recall), "the stream to be in flight")
    return started


@on_one_engine
def test_ctrl_c_hands_back_what_is_in_flight(
    server: Server, master: subprocess.Popen[bytes]
) -> None:
    """A terminal sends SIGINT to all of its processes, and the master sends SIGQUIT to its own."""
    os.killpg(master.pid, signal.SIGINT)
    assert master.wait(timeout=20) == 0
    assert HANDED_BACK in server.log()


@on_one_engine
def test_ctrl_c_while_it_drains_hands_back_what_is_in_flight(
    server: Server, master: subprocess.Popen[bytes]
) -> None:
    (worker,) = server.workers(master)
    master.terminate()
    wait_for(
        lambda: all(each.laddr.port != server.port for each in worker.net_connections()),
        "the worker to have no clients, and to wait for Recall only",
    )
    master.send_signal(signal.SIGINT)
    assert master.wait(timeout=10) == 0
    assert HANDED_BACK in server.log()
