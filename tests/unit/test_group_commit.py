"""What a group of threads shares, and what it must not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from rtms.db.errors import DatabaseUnavailable, RowRefused
from rtms.db.group_commit import GroupCommit, Ticket
from tests.servers import wait_for

Gather = Callable[[], Sequence[int]]


class Table:
    """A stand-in for a transaction: it turns each job into its negative, and keeps what it did."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.is_open = threading.Event()  # a commit waits for it, once it has its group
        self.is_open.set()
        self.refuses: dict[int, Exception] = {}
        self.most_at_once = 0
        self._inside = 0
        self._lock = threading.Lock()

    def commit(self, gather: Gather, give_up_at: float) -> Sequence[int]:
        with self._lock:
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        try:
            group = list(gather())
            self.groups.append(group)
            assert self.is_open.wait(20)
            for job in group:
                if job in self.refuses:
                    raise self.refuses[job]
            return [-job for job in group]
        finally:
            with self._lock:
                self._inside -= 1


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def commits(table: Table) -> GroupCommit[int, int]:
    return GroupCommit(table.commit, patience=20)


def outcome(ticket: Ticket[int, int]) -> int | Exception:
    try:
        return ticket.result()
    except Exception as error:
        return error


def test_tickets_of_one_thread_share_a_transaction_in_their_order(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    tickets = [commits.enqueue(job) for job in range(10)]
    assert [ticket.result() for ticket in tickets] == [-job for job in range(10)]
    assert table.groups == [list(range(10))]


def test_a_result_may_be_asked_for_in_any_order_and_again(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    tickets = [commits.enqueue(job) for job in range(5)]
    assert [ticket.result() for ticket in reversed(tickets)] == [-4, -3, -2, -1, 0]
    assert [ticket.result() for ticket in tickets] == [0, -1, -2, -3, -4]
    assert len(table.groups) == 1


def test_every_thread_gets_its_own_result_and_one_leads_at_a_time(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    def several(first: int) -> list[int]:
        tickets = [commits.enqueue(first + each) for each in range(7)]
        return [ticket.result() for ticket in tickets]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(several, range(0, 2800, 7)))
    assert [each for some in found for each in some] == [-job for job in range(2800)]
    assert sorted(job for group in table.groups for job in group) == list(range(2800))
    assert table.most_at_once == 1
    assert max(map(len, table.groups)) <= 64


def test_more_than_a_group_holds_go_into_the_next(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    tickets = [commits.enqueue(job) for job in range(150)]
    assert [ticket.result() for ticket in tickets] == [-job for job in range(150)]
    assert [len(group) for group in table.groups] == [64, 64, 22]


@pytest.mark.parametrize("error", [RowRefused("no"), ValueError("a bug")])
def test_whoever_is_refused_fails_alone(
    table: Table, commits: GroupCommit[int, int], error: Exception
) -> None:
    table.refuses = {3: error}
    tickets = [commits.enqueue(job) for job in range(6)]
    assert [outcome(each) for each in tickets] == [0, -1, -2, error, -4, -5]
    assert table.groups[0] == list(range(6))


def test_whoever_waits_beside_a_bug_gets_the_result(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    table.refuses = {0: KeyError("a bug")}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: outcome(commits.enqueue(job)), range(40)))
    assert isinstance(found[0], KeyError)
    assert found[1:] == [-job for job in range(1, 40)]
    assert commits.enqueue(100).result() == -100


def test_a_database_that_is_away_fails_all_of_the_group_at_once(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    table.refuses = {3: DatabaseUnavailable("away")}
    tickets = [commits.enqueue(job) for job in range(6)]
    for ticket in tickets:
        with pytest.raises(DatabaseUnavailable, match="away"):
            ticket.result()
    assert len(table.groups) == 1
    assert commits.enqueue(7).result() == -7


def test_a_leader_that_ends_leaves_nobody_waiting() -> None:
    """Whatever ends it is no error that a group could have."""
    calls = 0

    def commit(gather: Gather, give_up_at: float) -> Sequence[int]:
        nonlocal calls
        calls += 1
        group = gather()
        if calls == 1:
            raise SystemExit
        return [-job for job in group]

    commits = GroupCommit(commit, patience=20)
    first, second = commits.enqueue(1), commits.enqueue(2)
    with pytest.raises(SystemExit):
        first.result()
    with pytest.raises(DatabaseUnavailable):
        second.result()
    assert commits.enqueue(3).result() == -3


def test_a_ticket_that_nobody_waits_for_keeps_nobody_from_theirs(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    table.is_open.clear()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(commits.enqueue(1).result)
        wait_for(lambda: table.groups == [[1]], "the first group")
        commits.enqueue(2)  # whoever wanted it has gone
        follower = pool.submit(commits.enqueue(3).result)
        table.is_open.set()
        assert (leader.result(20), follower.result(20)) == (-1, -3)
    commits.enqueue(4)
    assert commits.enqueue(5).result() == -5
    assert {2, 4} < {job for group in table.groups for job in group}


def test_whoever_comes_while_others_write_is_led_by_the_next_in_line(
    table: Table, commits: GroupCommit[int, int]
) -> None:
    table.is_open.clear()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(commits.enqueue(1).result)
        wait_for(lambda: table.groups == [[1]], "the first group")
        others = [pool.submit(commits.enqueue(job).result) for job in range(2, 20)]
        wait_for(lambda: len(commits._queue) == 18, "the others to come")
        table.is_open.set()
        assert first.result(20) == -1
        assert [each.result(20) for each in others] == [-job for job in range(2, 20)]
    assert len(table.groups) <= 3  # those that had not begun to wait yet may need one more


def test_nobody_waits_longer_than_the_patience_for_another_leader(table: Table) -> None:
    """However many tickets a thread has, the wait for all of them is one."""
    commits = GroupCommit(table.commit, patience=0.5)
    table.is_open.clear()
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(commits.enqueue(0).result)
        wait_for(lambda: table.groups == [[0]], "the first group")
        began = time.monotonic()
        tickets = [commits.enqueue(job) for job in range(1, 9)]
        assert {type(outcome(each)) for each in tickets} == {DatabaseUnavailable}
        waited = time.monotonic() - began
        table.is_open.set()
        assert leader.result(20) == 0
    assert table.groups == [[0]]  # nothing that was given up is written after all
    assert 0.4 < waited < 1.5


def test_a_database_that_does_not_answer_is_waited_for_once() -> None:
    """Where it is never anybody's turn, those whose patience ended meanwhile do not try in turn."""
    tries = []

    def commit(gather: Gather, give_up_at: float) -> Sequence[int]:
        tries.append(give_up_at)
        time.sleep(0.3)  # as connecting to a host that has gone takes its time
        raise DatabaseUnavailable("nobody answers")

    commits = GroupCommit(commit, patience=0.25)
    began = time.monotonic()
    tickets = [commits.enqueue(job) for job in range(8)]
    for ticket in tickets:
        with pytest.raises(DatabaseUnavailable, match="nobody answers"):
            ticket.result()
    assert time.monotonic() - began < 1.5
    assert len(tries) == 1


def test_many_threads_come_go_and_fail_and_none_is_forgotten(table: Table) -> None:
    """Each is told what came of its own job; what it was told is committed is, once."""
    away = DatabaseUnavailable("away")
    table.refuses = dict.fromkeys(range(0, 2000, 97), RowRefused("no")) | {1000: away}
    commits = GroupCommit(table.commit, patience=20)
    told: dict[int, int | Exception] = {}

    def several(first: int) -> None:
        tickets = {job: commits.enqueue(job) for job in range(first, first + 5)}
        for job, ticket in tickets.items():
            if job % 11:  # some never ask
                told[job] = outcome(ticket)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(several, range(0, 2000, 5)))
    with suppress(DatabaseUnavailable):
        commits.enqueue(2000).result()  # takes along what nobody asked for
    assert set(told) == {job for job in range(2000) if job % 11}
    for job, came in told.items():
        assert came in (-job, away) or (job in table.refuses and came is table.refuses[job])
    assert table.most_at_once == 1
