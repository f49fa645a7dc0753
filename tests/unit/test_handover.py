"""Who takes over from whom at a reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Any

import pytest

from rtms.server.reload_handover import Handover
from tests.servers import PATIENCE

LEFT = 7  # exit code

# Python says from 3.12 on that a fork beside threads may stand still. These only wait and write.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def handover() -> Handover:
    return Handover()


def test_nobody_is_awaited_without_a_reload(handover: Handover) -> None:
    handover.note_forked(1)
    assert not handover.is_awaited(1)


def test_the_old_wait_until_all_of_the_new_are_ready(handover: Handover) -> None:
    handover.begin(old=2, count=2)
    assert handover.is_awaited(1)
    for age in (3, 4):
        handover.note_forked(age)
    assert [handover.is_awaited(age) for age in (1, 2, 3, 4)] == [True, True, False, False]
    handover.note_ready(4)
    assert handover.is_awaited(1)
    handover.note_ready(3)
    assert not handover.is_awaited(1)
    assert not handover.is_awaited(2)


def test_the_next_reload_awaits_its_own(handover: Handover) -> None:
    for reload in range(5000):  # more than there is room for at a time
        handover.begin(old=reload, count=1)
        handover.note_forked(reload + 1)
        assert handover.is_awaited(reload)
        handover.note_ready(reload + 1)
        assert not handover.is_awaited(reload)


def test_another_may_take_the_place_of_one_that_ended(handover: Handover) -> None:
    handover.begin(old=1, count=1)
    handover.note_forked(2)
    handover.note_forked(3)
    handover.note_ready(3)
    assert not handover.is_awaited(1)


@pytest.mark.parametrize(
    ("ages", "missing"),
    [([1, 2, 3, 4], 0), ([1, 2, 4], 1), ([1], 2), ([2, 3, 4, 5], 0), ([3], 0), ([], 0)],
)
def test_those_who_take_over_are_missed_while_there_are_old_ones(
    handover: Handover, ages: list[int], missing: int
) -> None:
    assert handover.missing(ages, wanted=2) == 0
    handover.begin(old=2, count=3)  # SIGTTOU since
    assert handover.missing(ages, wanted=2) == missing


def test_a_hand_over_can_be_called_off(handover: Handover) -> None:
    handover.begin(old=1, count=1)
    handover.note_forked(2)
    handover.call_off()
    for old in (1, 2):  # one that was on its way begins all the same
        assert not handover.is_awaited(old)
        assert not handover.missing([old], wanted=2)
        handover.begin(old=2, count=1)


class Child:
    """A process of age 1 that knows what to do at SIGTERM."""

    def __init__(self, handover: Handover) -> None:
        self._told, tell = os.pipe()
        self._process = get_context("fork").Process(target=self._run, args=(handover, tell))
        self._process.start()
        os.close(tell)
        assert os.read(self._told, 1) == b"."  # it is there

    @staticmethod
    def _run(handover: Handover, tell: int) -> None:
        handover.at_sigterm(1, lambda number, frame: os._exit(LEFT))
        handle: Any = signal.getsignal(signal.SIGTERM)

        def handle_and_tell(number: int, frame: Any) -> None:
            handle(number, frame)
            os.write(tell, b".")

        signal.signal(signal.SIGTERM, handle_and_tell)
        os.write(tell, b".")
        while True:
            signal.pause()

    def terminate(self) -> bool:
        """Send SIGTERM; return whether the process goes on after it."""
        assert self._process.pid
        os.kill(self._process.pid, signal.SIGTERM)
        return os.read(self._told, 1) == b"."

    def assert_leaves(self) -> None:
        self._process.join(PATIENCE)
        assert self._process.exitcode == LEFT

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        os.close(self._told)


@pytest.fixture
def child(handover: Handover) -> Iterator[Child]:
    child = Child(handover)
    yield child
    child.close()


def test_a_process_that_nobody_replaces_leaves_at_once(child: Child) -> None:
    assert not child.terminate()
    child.assert_leaves()


def test_a_process_leaves_when_those_who_replace_it_are_ready(
    handover: Handover, child: Child
) -> None:
    handover.begin(old=1, count=1)
    handover.note_forked(2)
    assert child.terminate()
    handover.note_ready(2)
    child.assert_leaves()


def test_a_process_that_is_told_again_waits_for_nobody(handover: Handover, child: Child) -> None:
    handover.begin(old=1, count=1)
    handover.note_forked(2)
    assert child.terminate()
    assert not child.terminate()
    child.assert_leaves()
