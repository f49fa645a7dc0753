"""A commit that does not come back, on the real server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.test_together import Client, clients, on_one_engine, start
from tests.servers import Server, wait_for

pytestmark = pytest.mark.environ(DISPATCHER="off", WEB_CONCURRENCY="1")

ZOOM_WAITS = 3.0  # seconds
STALLED = 6.0  # seconds


@on_one_engine
def test_what_comes_while_a_commit_stands_still_gets_its_503_in_time(
    server: Server, tmp_path: Path
) -> None:
    stall = tmp_path / "stall"
    server.environ |= {
        "EXTENSIONS": "stalling_commit",
        "PYTHONPATH": str(Path(__file__).parent / "extension"),
        "COMMIT_STALL": str(stall),
    }
    server.start()

    def deliver(client: Client) -> tuple[int, float]:
        began = time.monotonic()
        return client.ask(start()), time.monotonic() - began

    with clients(server, 61) as (first, *others), ThreadPoolExecutor(len(others)) as pool:
        assert first.ask(start()) == 200
        stall.touch()
        first.send(start())
        wait_for(stall.with_suffix(".held").exists, "the first commit to stand still")
        answers = []
        for client in others:
            answers.append(pool.submit(deliver, client))
            time.sleep(STALLED / len(others))
        told = [each.result() for each in answers]
        stall.unlink()
        assert {status for status, _ in told} == {503}
        assert max(took for _, took in told) < ZOOM_WAITS
        assert others[0].ask(start()) == 200
    assert len(server.meetings()) == 3  # the one whose client was cut off is there, too
