"""The dispatcher runs jobs in threads: it leases due rows, hands them to threads, and drains."""

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

# Seconds.
POLL_SECONDS = 0.5  # finds rows of other processes; new rows of this process wake the dispatcher
_AFTER_AN_ERROR = 1.0
_LOG_AGAIN = 60.0  # that the database is unreachable
_AFTER_NOTHING = 0.02  # what was due went to another process
_GATHER = 0.02  # wait for more free threads while behind, to lease several rows a transaction
_MAX_YIELD = 1.0  # to more urgent work

log = structlog.get_logger()

R = TypeVar("R")


class Job(Protocol[R]):
    """A kind of work on the rows of a table."""

    @property
    def name(self) -> str:
        """The job's name in logs and metrics."""

    @property
    def threads(self) -> int:
        """How many rows it works on at the same time."""

    def next_due(self) -> datetime | None:
        """Return when a row is next due; None where none is scheduled."""

    def lease(self, limit: int) -> Sequence[R]:
        """Lease at most `limit` due rows for this process."""

    def work(self, row: R) -> None:
        """Do a leased row's work and record the outcome."""

    def hand_back(self, rows: Sequence[R]) -> None:
        """End the leases of rows that this process will not finish."""


class Dispatcher:
    """Runs jobs, each in its own threads, so that none waits behind another. Start it after a fork,
    never before.

    Args:
        jobs: the jobs to run.
        is_crowded: whether this process has more urgent work. Jobs that are behind then wait up to
            a second before they lease more.
    """

    def __init__(self, *jobs: Job[Any], is_crowded: Callable[[], bool] = lambda: False) -> None:
        self._runners = {job.name: _Runner(job, is_crowded) for job in jobs}

    def start(self) -> None:
        """Start leasing and working."""
        for runner in self._runners.values():
            runner.start()

    @property
    def is_running(self) -> bool:
        """Whether due rows are being leased."""
        return all(runner.is_running for runner in self._runners.values())

    def wake(self, job: str) -> None:
        """Notify a job that a row became due; it is leased at once if a thread is free."""
        self._runners[job].wake()

    def begin_drain(self) -> None:
        """Stop leasing. This only sets flags, so a signal handler may call it."""
        for runner in self._runners.values():
            runner.begin_drain()

    def drain(self, timeout: float) -> bool:
        """Stop leasing, and wait for the work in flight.

        Args:
            timeout: seconds to wait before unfinished rows are handed back.

        Returns:
            Whether all of them finished.
        """
        self.begin_drain()
        deadline = time.monotonic() + timeout
        finished = [
            runner.drain(max(0.0, deadline - time.monotonic())) for runner in self._runners.values()
        ]
        return all(finished)


class _Runner(Generic[R]):
    """One job's threads: one leases, the others work."""

    def __init__(self, job: Job[R], is_crowded: Callable[[], bool]) -> None:
        self._job = job
        self._is_crowded = is_crowded
        self._rows: SimpleQueue[R | None] = SimpleQueue()
        self._in_flight: dict[int, R] = {}
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._leaser = threading.Thread(
            target=self._lease_until_drained, name=f"{job.name}-leaser", daemon=True
        )
        self._woken = False
        self._draining = False
        self._is_behind = False  # the last lease gave work to every free thread

    def start(self) -> None:
        self._leaser.start()

    @property
    def is_running(self) -> bool:
        return self._leaser.is_alive() and not self._draining

    def wake(self) -> None:
        with self._changed:
            # Notify once. While no thread is free, the first to finish notifies.
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
                log.warning("could not hand leases back; they will expire", error=error)
        return finished

    def _lease_until_drained(self) -> None:
        pause, logged_at = 0.0, None
        while not self._draining:
            woken, free = self._wait(pause)
            if self._draining or not free:
                pause = POLL_SECONDS  # a thread that finishes ends the wait
                continue
            pause = _AFTER_AN_ERROR
            try:
                pause = self._lease_if_due(free, woken=woken)
                if logged_at is not None and not self._draining:
                    log.info("the database answers again", job=self._job.name)
                    logged_at = None
            except DatabaseUnavailable as error:
                if logged_at is None or time.monotonic() - logged_at >= _LOG_AGAIN:
                    log.error(
                        "the database is unreachable; trying again every second",
                        job=self._job.name,
                        error=str(error),
                    )
                    logged_at = time.monotonic()
            except Exception:
                log.exception("could not lease rows; trying again", job=self._job.name)
        with self._changed:
            self._changed.notify_all()

    def _lease_if_due(self, free: int, *, woken: bool) -> float:
        """Lease due rows and hand them to threads.

        Args:
            free: how many threads are idle.
            woken: whether `wake` was called.

        Returns:
            The seconds to wait next time, unless `wake` is called.
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
        return 0.0 if rows else max(self._seconds_to_due(), _AFTER_NOTHING)

    def _seconds_to_due(self) -> float:
        """Return the seconds until a row is due, at most until the next poll."""
        due = self._job.next_due()
        if due is None:
            return POLL_SECONDS
        return min(max((due - clock.now()).total_seconds(), 0.0), POLL_SECONDS)

    def _wait(self, seconds: float) -> tuple[bool, int]:
        """Wait for `wake`. Return whether it was called, and how many threads are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._draining, seconds)
            woken, self._woken = self._woken, False
            return woken, self._job.threads - len(self._in_flight)

    def _gather(self) -> int:
        """Wait a moment for more free threads and for more urgent work. Return how many threads are
        free."""
        yield_until = time.monotonic() + _MAX_YIELD
        with self._changed:
            self._changed.wait_for(lambda: self._draining or not self._in_flight, _GATHER)
            while self._is_crowded() and time.monotonic() < yield_until:
                if self._changed.wait_for(lambda: self._draining, _GATHER):
                    break
            return self._job.threads - len(self._in_flight)

    def _hand_over(self, row: R) -> None:
        with self._changed:
            self._in_flight[id(row)] = row
            if len(self._in_flight) > len(self._workers):
                name = f"{self._job.name}-{len(self._workers)}"
                worker = threading.Thread(target=self._work_until_drained, name=name, daemon=True)
                self._workers.append(worker)
                worker.start()
        self._rows.put(row)

    def _work_until_drained(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                self._job.work(row)
            except Exception:
                # The lease expires and the row is leased again.
                log.exception("the work on a row failed", job=self._job.name, row=repr(row))
            with self._changed:
                was_full = len(self._in_flight) >= self._job.threads
                del self._in_flight[id(row)]
                self._woken = self._woken or was_full
                if was_full or self._draining:
                    self._changed.notify_all()
