"""Who takes over from whom at a reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import pytest

from rtms.handover import Handover
from tests.servers import wait_for

LEFT = 7  # exit code


@pytest.fixture
def handover() -> Handover:
    return Handover()


def test_nobody_is_awaited_without_a_reload(handover: Handover) -> None:
    handover.note_forked(1)
    assert not handover.is_awaited(1)


def test_the_old_wait_until_all_of_the_new_are_ready(handover: Handover) -> None:
    handover.begin(youngest=2, count=2)
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
        handover.begin(youngest=reload, count=1)
        handover.note_forked(reload + 1)
        assert handover.is_awaited(reload)
        handover.note_ready(reload + 1)
        assert not handover.is_awaited(reload)


def _process(handover: Handover, ready: int) -> None:
    handover.at_sigterm(1, lambda number, frame: os._exit(LEFT))
    os.close(ready)
    while True:
        signal.pause()


@pytest.fixture
def process(handover: Handover) -> Iterator[BaseProcess]:
    """A process of age 1 that knows what to do at SIGTERM."""
    told, ready = os.pipe()
    process = get_context("fork").Process(target=_process, args=(handover, ready))
    process.start()
    os.close(ready)
    assert os.read(told, 1) == b""  # closed: it is there
    os.close(told)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _terminate(process: BaseProcess) -> None:
    assert process.pid
    os.kill(process.pid, signal.SIGTERM)


def _assert_leaves(process: BaseProcess) -> None:
    wait_for(lambda: process.exitcode is not None, "the process to leave")
    assert process.exitcode == LEFT


def test_a_process_that_nobody_replaces_leaves_at_once(process: BaseProcess) -> None:
    _terminate(process)
    _assert_leaves(process)


def test_a_process_leaves_when_those_who_replace_it_are_ready(
    handover: Handover, process: BaseProcess
) -> None:
    handover.begin(youngest=1, count=1)
    handover.note_forked(2)
    _terminate(process)
    handover.note_ready(2)
    _assert_leaves(process)


def test_a_process_that_is_told_again_waits_for_nobody(
    handover: Handover, process: BaseProcess
) -> None:
    handover.begin(youngest=1, count=1)
    handover.note_forked(2)

    def told_again() -> bool:
        _terminate(process)
        return process.exitcode is not None

    wait_for(told_again, "the process to leave")
    assert process.exitcode == LEFT
