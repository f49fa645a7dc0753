"""Group commit: threads that want to write at the same moment share one transaction.

The first leads: it commits what is waiting, in one transaction. What comes meanwhile waits for
the next one. So a commit's cost, most of it waiting for the disk, is paid once for many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rtms.database import DatabaseUnavailable, RowRefused

_MOST = 64  # jobs a transaction: others want to write, too

J = TypeVar("J")
R = TypeVar("R")


class GroupCommit(Generic[J, R]):
    """Commits jobs in groups.

    Args:
        commit: does a group of jobs in one transaction, and returns their results in order. It
            calls what it is given for the jobs once it is its turn to write, so that those that
            came meanwhile are among them. The other argument is the moment (`time.monotonic()`)
            after which to wait no longer for other writers.
        patience: seconds that a job waits in all.
    """

    def __init__(
        self,
        commit: Callable[[Callable[[], Sequence[J]], float], Sequence[R]],
        *,
        patience: float,
    ) -> None:
        self._commit = commit
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting: list[_Job[J, R]] = []
        self._is_led = False

    def submit(self, job: J) -> R:
        """Do a job. When this returns, it is committed.

        Raises:
            DatabaseUnavailable: it was not committed, as far as anyone can tell.
        """
        mine: _Job[J, R] = _Job(job, time.monotonic() + self._patience)
        with self._lock:
            self._waiting.append(mine)
            mine.leads = not self._is_led
            self._is_led = True
        if not mine.leads:
            self._await_turn(mine)
        if mine.leads:
            self._lead(mine)
        return mine.result()

    def _await_turn(self, mine: _Job[J, R]) -> None:
        if mine.turn.acquire(timeout=self._patience):
            return
        with self._lock:
            if mine in self._waiting and not mine.leads:
                self._waiting.remove(mine)
                raise DatabaseUnavailable("other threads have been writing for too long")
        mine.turn.acquire()  # it is being committed at this moment

    def _lead(self, mine: _Job[J, R]) -> None:
        group: list[_Job[J, R]] = []

        def gather() -> list[J]:
            if not group:
                with self._lock:
                    group.extend(self._waiting[:_MOST])
                    del self._waiting[:_MOST]
            return [each.job for each in group]

        try:
            self._do(gather, group, mine)
        finally:
            with self._lock:
                if not group:  # it was never our turn; the next in line may have more luck
                    self._waiting.remove(mine)
                self._is_led = bool(self._waiting)
                if self._is_led:
                    self._waiting[0].leads = True
                    self._waiting[0].turn.release()
            for done in group:
                done.turn.release()

    def _do(
        self, gather: Callable[[], list[J]], group: Sequence[_Job[J, R]], leader: _Job[J, R]
    ) -> None:
        try:
            results = self._commit(gather, leader.give_up_at)
        except Exception as error:
            the_database_is_away = isinstance(error, DatabaseUnavailable) and not isinstance(
                error, RowRefused
            )
            if the_database_is_away or len(group) < 2:
                for each in group or [leader]:
                    each.error = error
            else:  # one of them is to blame: the others must not suffer for it
                for each in group:
                    self._do(each.alone, [each], each)
        else:
            for each, result in zip(group, results, strict=True):
                each.results.append(result)


class _Job(Generic[J, R]):
    __slots__ = ("error", "give_up_at", "job", "leads", "results", "turn")

    def __init__(self, job: J, give_up_at: float) -> None:
        self.job = job
        self.give_up_at = give_up_at
        self.turn = threading.Lock()
        self.turn.acquire()
        self.leads = False
        self.results: list[R] = []
        self.error: Exception = DatabaseUnavailable("the thread that was writing it ended")

    def alone(self) -> list[J]:
        return [self.job]

    def result(self) -> R:
        if self.results:
            return self.results[0]
        raise self.error
