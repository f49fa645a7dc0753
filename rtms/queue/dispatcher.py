"""Leases due rows to threads: who does the work, when, and how it ends when the process must.

It knows nothing of what the work is. A job does: it leases rows from the table, does what one of
them wants, and says when the next will want something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import structlog

from rtms import clock
from rtms.db.errors import DatabaseUnavailable

# Seconds. Rows that other processes left behind are found by looking; fresh ones are handed over.
POLL_SECONDS = 0.5
_AFTER_AN_ERROR = 1.0
_SAY_AGAIN = 60.0  # that the database is unreachable
_AFTER_NOTHING = 0.02  # what was due went to another process
_GATHER = 0.02  # while there is more to do than threads to do it: several rows a transaction
_GIVE_WAY = 1.0  # to what is more urgent, at most

log = structlog.get_logger()

R = TypeVar("R")


class Job(Protocol[R]):
    """A kind of work on rows of the table."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def threads(self) -> int:
        """How many rows it works on at the same time."""

    def next_due(self) -> datetime | None:
        """When a row will next want something, as far as the table tells; None: not in sight."""

    def lease(self, limit: int) -> Sequence[R]:
        """Lease at most `limit` due rows for this process."""

    def work(self, row: R) -> None:
        """Do what a leased row wants and record the outcome."""

    def hand_back(self, rows: Sequence[R]) -> None:
        """End the leases of these now: this process will not finish them."""


class Dispatcher:
    """Runs jobs, each in threads of its own, so that none waits behind another. Start it after a
    fork, never before.

    Args:
        jobs: what there is to do.
        is_crowded: whether this process has something more urgent to do just now. Jobs that are
            behind then wait for up to a second before they lease more.
    """

    def __init__(self, *jobs: Job[Any], is_crowded: Callable[[], bool] = lambda: False) -> None:
        self._runners = {job.name: _Runner(job, is_crowded) for job in jobs}

    def start(self) -> None:
        """Begin to lease and to work."""
        for runner in self._runners.values():
            runner.start()

    @property
    def is_running(self) -> bool:
        """Whether due rows are being taken."""
        return all(runner.is_running for runner in self._runners.values())

    def wake(self, job: str) -> None:
        """Say that a row became due for a job; it is leased at once if a thread is free."""
        self._runners[job].wake()

    def begin_drain(self) -> None:
        """Lease nothing more. Only sets flags, so a signal handler may call it."""
        for runner in self._runners.values():
            runner.begin_drain()

    def drain(self, timeout: float) -> bool:
        """Lease nothing more, and wait for the work in flight.

        Args:
            timeout: seconds to wait; after them what is still in flight is handed back.

        Returns:
            Whether all of it finished.
        """
        self.begin_drain()
        deadline = time.monotonic() + timeout
        finished = [
            runner.drain(max(0.0, deadline - time.monotonic())) for runner in self._runners.values()
        ]
        return all(finished)


class _Runner(Generic[R]):
    """One job's threads: one that leases, and those that work."""

    def __init__(self, job: Job[R], is_crowded: Callable[[], bool]) -> None:
        self._job = job
        self._is_crowded = is_crowded
        self._rows: SimpleQueue[R | None] = SimpleQueue()
        self._in_flight: dict[int, R] = {}
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._leaser = threading.Thread(
            target=self._lease_for_ever, name=f"{job.name}-leaser", daemon=True
        )
        self._woken = False
        self._draining = False
        self._is_behind = False  # there was work for every thread that was free

    def start(self) -> None:
        self._leaser.start()

    @property
    def is_running(self) -> bool:
        return self._leaser.is_alive() and not self._draining

    def wake(self) -> None:
        with self._changed:
            # Once is enough, and with no thread free whoever gets free wakes it.
            if not self._woken and len(self._in_flight) < self._job.threads:
                self._changed.notify_all()
            self._woken = True

    def begin_drain(self) -> None:
        self._draining = True

    def drain(self, timeout: float) -> bool:
        with self._changed:
            self._changed.notify_all()
            finished = self._changed.wait_for(
                lambda: not self._in_flight and not self._leaser.is_alive(), timeout
            )
            left = list(self._in_flight.values())
        for _ in self._workers:
            self._rows.put(None)
        if left:
            try:
                self._job.hand_back(left)
            except DatabaseUnavailable as error:
                log.warning("could not hand leases back; they run out by themselves", error=error)
        return finished

    def _lease_for_ever(self) -> None:
        pause, said_at = 0.0, None
        while not self._draining:
            woken, free = self._wait(pause)
            if self._draining or not free:
                pause = POLL_SECONDS  # a thread that gets free wakes us
                continue
            try:
                pause = self._lease_if_due(free, woken=woken)
                if said_at is not None and not self._draining:
                    log.info("the database answers again", job=self._job.name)
                    said_at = None
            except DatabaseUnavailable as error:
                if said_at is None or time.monotonic() - said_at >= _SAY_AGAIN:
                    log.error(
                        "the database is unreachable; looking again every second",
                        job=self._job.name,
                        error=str(error),
                    )
                    said_at = time.monotonic()
                pause = _AFTER_AN_ERROR
            except Exception:
                log.exception("could not lease rows; trying again", job=self._job.name)
                pause = _AFTER_AN_ERROR
        with self._changed:
            self._changed.notify_all()

    def _lease_if_due(self, free: int, *, woken: bool) -> float:
        """Lease what is due and hand it to threads.

        Args:
            free: how many threads have nothing to do.
            woken: whether somebody said that a row became due.

        Returns:
            The seconds to wait next time, if nobody wakes us.
        """
        due_in = 0.0 if woken else self._seconds_to_due()
        if due_in > 0:
            return due_in
        if self._is_behind:
            free = self._gather()
            if self._draining:
                return POLL_SECONDS
        rows = self._job.lease(free)
        self._is_behind = len(rows) == free
        for row in rows:
            self._hand_over(row)
        if rows:
            return 0.0
        return max(self._seconds_to_due(), _AFTER_NOTHING)

    def _seconds_to_due(self) -> float:
        """Seconds until a row wants something, at most until it is time to look again."""
        due = self._job.next_due()
        if due is None:
            return POLL_SECONDS
        return min(max((due - clock.now()).total_seconds(), 0.0), POLL_SECONDS)

    def _wait(self, seconds: float) -> tuple[bool, int]:
        """Wait until somebody wakes us. Returns whether somebody did, and how many threads are
        free."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._draining, seconds)
            woken, self._woken = self._woken, False
            return woken, self._job.threads - len(self._in_flight)

    def _gather(self) -> int:
        """Wait a moment for more threads to get free, and for what is more urgent. Returns how many
        are free."""
        give_way_until = time.monotonic() + _GIVE_WAY
        with self._changed:
            self._changed.wait_for(lambda: self._draining or not self._in_flight, _GATHER)
            while self._is_crowded() and time.monotonic() < give_way_until:
                if self._changed.wait_for(lambda: self._draining, _GATHER):
                    break
            return self._job.threads - len(self._in_flight)

    def _hand_over(self, row: R) -> None:
        with self._changed:
            self._in_flight[id(row)] = row
            if len(self._in_flight) > len(self._workers):
                worker = threading.Thread(
                    target=self._work_for_ever,
                    name=f"{self._job.name}-{len(self._workers)}",
                    daemon=True,
                )
                self._workers.append(worker)
                worker.start()
        self._rows.put(row)

    def _work_for_ever(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                self._job.work(row)
            except Exception:
                # The lease runs out and the row is taken up again.
                log.exception("a row's work broke off", job=self._job.name, row=repr(row))
            with self._changed:
                was_full = len(self._in_flight) >= self._job.threads
                del self._in_flight[id(row)]
                self._woken = self._woken or was_full
                if was_full or self._draining:
                    self._changed.notify_all()
