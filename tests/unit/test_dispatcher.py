"""When a job leases how much, without a database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from threading import Event

import pytest
from structlog.testing import capture_logs

from rtms import clock
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.connect import retry_policy
from rtms.queue import dispatcher
from rtms.queue.dispatcher import Dispatcher
from tests.servers import wait_for

DEADLINE = 20.0


class FakeJob:
    """Rows that are all due, and threads that do nothing with them until they may."""

    name = "fake"

    def __init__(self, rows: int, threads: int) -> None:
        self.threads = threads
        self.may_work = Event()
        self.may_work.set()
        self.leases: list[int] = []
        self.done: list[int] = []
        self._rows = iter(range(rows))

    def next_due(self) -> datetime | None:
        return clock.now()

    def lease(self, limit: int) -> Sequence[int]:
        rows = list(itertools.islice(self._rows, limit))
        if rows:
            self.leases.append(len(rows))
        return rows

    def work(self, row: int) -> None:
        assert self.may_work.wait(DEADLINE)
        self.done.append(row)

    def hand_back(self, rows: Sequence[int]) -> None:
        raise AssertionError("everything finishes in time")


@pytest.fixture
def running() -> Iterator[list[Dispatcher]]:
    """Dispatchers to be ended with the test."""
    dispatchers: list[Dispatcher] = []
    yield dispatchers
    for each in dispatchers:
        assert each.drain(DEADLINE)


def test_a_lane_that_is_behind_waits_for_the_crowd_to_go(running: list[Dispatcher]) -> None:
    job = FakeJob(rows=4, threads=2)
    leases_when_asked: list[int] = []

    def is_crowded() -> bool:
        leases_when_asked.append(len(job.leases))
        return len(leases_when_asked) <= 5

    running.append(Dispatcher(job, is_crowded=is_crowded))
    running[0].start()
    wait_for(lambda: len(job.done) == 4, "all rows", DEADLINE)
    assert job.leases == [2, 2]
    # Nobody asks before the first lease, and the second comes after the crowd.
    assert leases_when_asked[:6] == [1] * 6


@pytest.mark.slow
def test_a_crowd_that_stays_holds_nothing_up_for_ever(running: list[Dispatcher]) -> None:
    job = FakeJob(rows=4, threads=2)
    running.append(Dispatcher(job, is_crowded=lambda: True))
    running[0].start()
    wait_for(lambda: len(job.done) == 4, "all rows", DEADLINE)


def test_giving_way_leaves_the_last_try_its_time() -> None:
    longest = dispatcher._GATHER + dispatcher._MAX_YIELD + dispatcher.POLL_SECONDS
    assert longest < retry_policy._LAST_TRY_LEAD


def test_nothing_more_is_leased_where_the_process_must_go_meanwhile() -> None:
    job = FakeJob(rows=4, threads=2)

    def is_crowded() -> bool:
        leaving.begin_drain()
        return True

    leaving = Dispatcher(job, is_crowded=is_crowded)
    leaving.start()
    wait_for(lambda: not leaving.is_running, "the drain to begin", DEADLINE)
    assert leaving.drain(DEADLINE)
    assert job.leases == [2]


def test_what_becomes_due_while_all_threads_are_busy_is_leased_when_one_is_free(
    running: list[Dispatcher],
) -> None:
    job = FakeJob(rows=3, threads=1)
    job.may_work.clear()
    running.append(Dispatcher(job))
    running[0].start()
    wait_for(lambda: job.leases == [1], "the first lease", DEADLINE)
    running[0].wake("fake")
    running[0].wake("fake")
    job.may_work.set()
    wait_for(lambda: len(job.done) == 3, "all rows", DEADLINE)
    assert job.leases == [1, 1, 1]


class Unreachable(FakeJob):
    """Rows of a database that goes away once the first was leased, and may come back."""

    def __init__(self) -> None:
        super().__init__(rows=2, threads=2)
        self.may_work.clear()
        self.answers = Event()
        self.refused = 0
        self.counted = 0
        self.free = True

    @property
    def threads(self) -> int:
        """As many as there are at work, where none is to be free; the dispatcher looks at it before
        it asks the database."""
        self.counted += 1
        return 2 if self.free else 1

    @threads.setter
    def threads(self, count: int) -> None:
        pass

    def lease(self, limit: int) -> Sequence[int]:
        if self.leases and not self.answers.is_set():
            self.refused += 1
            raise DatabaseUnavailable("connection failed")
        return super().lease(min(limit, 1))


AWAY = "the database is unreachable; trying again every second"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What was logged, with an outage that is looked at a hundred times a second."""
    monkeypatch.setattr(dispatcher, "_AFTER_AN_ERROR", 0.01)
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.01)
    with capture_logs() as lines:
        yield lambda: [line["event"] for line in lines]


def test_a_database_that_nobody_asks_does_not_answer_again(
    running: list[Dispatcher], told: Callable[[], list[str]]
) -> None:
    job = Unreachable()
    running.append(Dispatcher(job))
    running[0].start()
    wait_for(lambda: told() == [AWAY], "the outage to be told", DEADLINE)
    job.free = False
    seen = job.counted
    wait_for(lambda: job.counted > seen + 5, "looks without a free thread", DEADLINE)
    assert told() == [AWAY]
    job.answers.set()
    job.free = True
    job.may_work.set()
    wait_for(lambda: told() == [AWAY, "the database answers again"], "its end", DEADLINE)


def test_a_process_that_ends_while_the_database_is_away_says_nothing_else(
    told: Callable[[], list[str]],
) -> None:
    job = Unreachable()
    leaving = Dispatcher(job)
    leaving.start()
    wait_for(lambda: told() == [AWAY], "the outage to be told", DEADLINE)
    job.may_work.set()
    assert leaving.drain(DEADLINE)
    assert told() == [AWAY]
