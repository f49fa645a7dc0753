"""Group commit: threads that want to write at the same moment share one transaction.

The first that waits leads: it commits what has come, in one transaction. What comes meanwhile is
in the next one. So a commit's cost, most of it waiting for the disk, is paid once for many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rtms.db.errors import DatabaseUnavailable, RowRefused

_MOST = 64  # jobs a transaction: others want to write, too
_SOON = 0.2  # seconds

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
        self._queue: list[Ticket[J, R]] = []
        self._is_led = False

    def enqueue(self, job: J) -> Ticket[J, R]:
        """Put a job in the next group. Nothing is promised before the ticket's result is there."""
        ticket = Ticket(self, job, time.monotonic() + self._patience)
        with self._lock:
            self._queue.append(ticket)
        return ticket

    def _await(self, mine: Ticket[J, R]) -> None:
        with self._lock:
            if mine.is_settled:
                return
            mine.waits = True
            mine.leads = not self._is_led
            self._is_led = True
        left = max(mine.give_up_at - time.monotonic(), 0)
        if not mine.leads and not mine.turn.acquire(timeout=left):
            with self._lock:
                if mine in self._queue and not mine.leads:
                    self._queue.remove(mine)
                    raise DatabaseUnavailable("other threads have been writing for too long")
            mine.turn.acquire()  # it is being committed at this moment
        if mine.leads:
            self._lead(mine)

    def _lead(self, mine: Ticket[J, R]) -> None:
        group: list[Ticket[J, R]] = []

        def gather() -> list[J]:
            if not group:
                with self._lock:
                    self._queue.remove(mine)
                    group.extend([mine, *self._queue[: _MOST - 1]])
                    del self._queue[: _MOST - 1]
            return [each.job for each in group]

        # Those that arrived at the same moment, and have not run yet, are to be in this group.
        time.sleep(0)
        try:
            self._do(gather, group, mine)
        finally:
            with self._lock:
                if not group:  # it was never our turn
                    group = self._give_up(mine)
                for each in group:
                    each.is_settled = True
                # Whoever does not wait yet will lead when it does, if it still must.
                following = next((each for each in self._queue if each.waits), None)
                self._is_led = following is not None
                if following:
                    following.leads = True
                    following.turn.release()
            for each in group:
                if each.waits and each is not mine:
                    each.turn.release()

    def _give_up(self, mine: Ticket[J, R]) -> list[Ticket[J, R]]:
        """Take out of the queue whoever has waited as long as this one has, or is about to have:
        one after another they would wait for longer. The others may have more luck."""
        soon = time.monotonic() + _SOON
        over = [each for each in self._queue if each is mine or each.give_up_at <= soon]
        self._queue = [each for each in self._queue if each not in over]
        for each in over:
            each.error = mine.error
        return over

    def _do(
        self, gather: Callable[[], list[J]], group: Sequence[Ticket[J, R]], leader: Ticket[J, R]
    ) -> None:
        try:
            results = self._commit(gather, leader.give_up_at)
        except Exception as error:
            is_unreachable = isinstance(error, DatabaseUnavailable) and not isinstance(
                error, RowRefused
            )
            if is_unreachable or len(group) < 2:
                for each in group or [leader]:
                    each.error = error
            else:  # one of them is to blame: the others must not suffer for it
                for each in group:
                    self._do(each.alone, [each], each)
        else:
            for each, result in zip(group, results, strict=True):
                each.results.append(result)


class Ticket(Generic[J, R]):
    """A job that is to be committed, and later what came of it."""

    __slots__ = (
        "_commits", "error", "give_up_at", "is_settled", "job", "leads", "results", "turn", "waits",
    )  # fmt: skip

    def __init__(self, commits: GroupCommit[J, R], job: J, give_up_at: float) -> None:
        self._commits = commits
        self.job = job
        self.give_up_at = give_up_at
        self.turn = threading.Lock()
        self.turn.acquire()
        self.waits = self.leads = self.is_settled = False
        self.results: list[R] = []
        self.error: Exception = DatabaseUnavailable("the thread that was writing it ended")

    def alone(self) -> list[J]:
        """This job, as a group of one."""
        return [self.job]

    def result(self) -> R:
        """Wait until it is committed.

        Raises:
            DatabaseUnavailable: it was not, as far as anyone can tell.
        """
        self._commits._await(self)
        if self.results:
            return self.results[0]
        raise self.error
