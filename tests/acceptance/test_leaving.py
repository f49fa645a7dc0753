"""How the web processes leave, on the real server."""

from __future__ import annotations

import os
import signal

import pytest

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from sandbox.faults import Fault
from tests.acceptance.test_together import on_one_engine
from tests.servers import Server, creates, wait_for


@on_one_engine
@pytest.mark.environ(WEB_CONCURRENCY="1")
def test_ctrl_c_hands_back_what_is_in_flight(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    """A terminal sends SIGINT to all of its processes, and the master sends SIGQUIT to its own."""
    recall.add_fault(Fault(kind="hang", path="create"))
    master = server.start()
    assert zoom.deliver(events.started(Stream())).ok
    wait_for(lambda: creates(recall), "the stream to be in flight")
    os.killpg(master.pid, signal.SIGINT)
    assert master.wait(timeout=20) == 0
    assert "handed back in flight" in server.log()
