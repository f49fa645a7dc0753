"""The server's clock steps by minutes in the middle of a burst (simulated, see
`extension/stepping_clock.py`): forward, as after a pause of the machine, and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox import RecallSandbox
from tests.chaos.client import Client
from tests.chaos.judge import assert_acknowledged_is_connected_once
from tests.servers import Server, creates, wait_for

FORWARD, BACK = 180.0, -180.0  # seconds, within SIGNATURE_TOLERANCE_SECONDS
Step = Callable[[float], None]


@pytest.fixture
def step(server: Server, tmp_path: Path) -> Step:
    """Lets the clock of the server's processes step, those that run and those to come."""
    file, fresh = tmp_path / "step", tmp_path / "step.new"
    server.extend(Path(__file__).parent / "extension", "stepping_clock", CLOCK_STEP=str(file))

    def to(seconds: float) -> None:
        fresh.write_text(str(seconds))
        fresh.replace(file)

    return to


def judge(server: Server, client: Client, recall: RecallSandbox, seconds: float) -> None:
    """The judge of the other tests; nothing here takes longer than a few seconds. By some row's
    time the server's clock did step."""
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged, patience=12)
    stepped = datetime.now(UTC) + timedelta(seconds=seconds)
    moments = [datetime.fromisoformat(row["connected_at"]) for row in server.meetings()]
    assert min(abs(moment - stepped) for moment in moments) < timedelta(minutes=1)
    assert "Traceback" not in server.log()  # which a thread that died would have written


@pytest.mark.parametrize("seconds", [FORWARD, BACK], ids=["forward", "back"])
@pytest.mark.environ(DISPATCHER="off")
def test_what_waits_for_its_first_try_at_a_step_is_connected(
    server: Server, client: Client, recall: RecallSandbox, step: Step, seconds: float
) -> None:
    server.start()
    for _ in range(10):
        client.start_until_acknowledged()
    step(seconds)
    for _ in range(10):
        client.start_until_acknowledged()
    server.start_worker()
    judge(server, client, recall, seconds)


@pytest.mark.parametrize("seconds", [FORWARD, BACK], ids=["forward", "back"])
def test_what_is_being_connected_at_a_step_is_recorded_as_connected(
    server: Server, client: Client, recall: RecallSandbox, step: Step, seconds: float
) -> None:
    """A step forward lets leases run out while their calls go on."""
    server.start()
    recall.set(latency=2.0)
    for _ in range(8):
        client.start_until_acknowledged()
    wait_for(lambda: len(creates(recall)) == 8, "eight calls in flight")
    step(seconds)
    judge(server, client, recall, seconds)


@pytest.mark.parametrize("seconds", [FORWARD, BACK], ids=["forward", "back"])
def test_a_gate_that_is_closed_at_a_step_opens_in_time(
    server: Server, client: Client, recall: RecallSandbox, step: Step, seconds: float
) -> None:
    server.start()
    recall.add_fault("status", path="create", status=429, retry_after=3)
    client.start_until_acknowledged()
    wait_for(lambda: "answered 429" in server.log(), "the closed gate")
    step(seconds)
    for _ in range(4):
        client.start_until_acknowledged()
    judge(server, client, recall, seconds)
