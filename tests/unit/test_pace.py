"""What Recall's refusals teach about its limit, and what room that leaves."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtms.recall.limit_estimate import Limit, Sent, learn, room

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def ago(*seconds: float, admitted: bool = True) -> list[Sent]:
    """Creates that left so many seconds ago, oldest first."""
    return [Sent(at=NOW - timedelta(seconds=each), admitted=admitted) for each in seconds]


def limit(creates: int, seconds: float = 60, *, age: float = 0, confirmed: int = 0) -> Limit:
    learned_at = NOW - timedelta(seconds=age)
    return Limit(creates=creates, seconds=seconds, learned_at=learned_at, confirmed=confirmed)


def seconds_to(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - NOW).total_seconds()


@pytest.mark.parametrize("retry_after", [1.0, 7.0, 59.0, 61.0, 3600.0])
def test_the_gate_opens_when_recall_says(retry_after: float) -> None:
    _, opens_at = learn([], retry_after=retry_after, now=NOW, before=None)
    assert seconds_to(opens_at) == retry_after


def test_a_refusal_that_names_no_wait_closes_the_gate_for_a_moment() -> None:
    _, opens_at = learn([], retry_after=0, now=NOW, before=None)
    assert 0 < seconds_to(opens_at) <= 1


def test_a_window_of_a_minute_is_recognized_and_opens_to_the_millisecond() -> None:
    sent = ago(*[0.4 - i * 0.0066 for i in range(60)])
    learned, opens_at = learn(sent, retry_after=60, now=NOW, before=None)
    assert (learned.creates, learned.seconds) == (60, 60)
    assert seconds_to(opens_at) == pytest.approx(59.63, abs=0.01)


def test_requests_that_come_a_little_too_early_do_not_make_the_limit_small() -> None:
    """Sixty left a minute ago, and forty follow: Recall has not seen the first ones leave."""
    sixty = [60.15 - i * 0.002 for i in range(60)]
    sent = ago(*sixty, *[0.05] * 39, admitted=True)
    learned, opens_at = learn(sent, retry_after=1, now=NOW, before=limit(60, age=59))
    assert (learned.creates, learned.seconds) == (60, 60)
    assert 0 < seconds_to(opens_at) < 0.2


@pytest.mark.parametrize("before", [None, limit(60, age=40)])
def test_a_create_that_has_just_left_hides_no_minute(before: Limit | None) -> None:
    sent = ago(60.1, *[30 - i * 0.01 for i in range(60)])
    learned, opens_at = learn(sent, retry_after=31, now=NOW, before=before)
    assert (learned.creates, learned.seconds) == (60, 60)
    assert seconds_to(opens_at) == pytest.approx(30.03)


def test_a_limit_that_became_lower_is_learned() -> None:
    sent = ago(*[40 - i for i in range(30)])
    learned, _ = learn(sent, retry_after=20, now=NOW, before=limit(60, age=59))
    assert learned.creates == 30


def test_a_shorter_window_is_as_long_as_recall_lets_us_wait() -> None:
    learned, opens_at = learn(
        ago(3, *[i * 0.01 for i in reversed(range(100))]), retry_after=1, now=NOW, before=None
    )
    assert (learned.creates, learned.seconds) == (100, 1)
    assert seconds_to(opens_at) == 1


def test_where_nothing_is_known_nothing_is_held_back() -> None:
    assert room(None, [], now=NOW) == (None, None)


def test_what_is_left_of_the_limit_may_leave() -> None:
    assert room(limit(5), ago(50, 40, 30), now=NOW) == (2, None)


def test_a_full_window_has_room_when_its_oldest_create_leaves_it() -> None:
    free, at = room(limit(3, age=10), ago(50, 40, 30), now=NOW)
    assert free == 0
    assert seconds_to(at) == pytest.approx(10.03)


def test_once_the_gate_was_open_again_one_more_is_tried() -> None:
    sent = ago(50, 40, 30)
    assert room(limit(3, age=60), sent, now=NOW) == (1, None)
    # While that one is on its way, no other is.
    free, at = room(limit(3, age=60), sent + ago(0, admitted=False), now=NOW)
    assert free == 0
    assert 0 < seconds_to(at) < 1


def test_a_limit_that_turned_out_higher_is_forgotten() -> None:
    assert room(limit(3, age=60), ago(50, 40, 30, 1), now=NOW) == (None, None)


def test_the_more_often_a_limit_was_confirmed_the_more_seldom_it_is_tried() -> None:
    sent = ago(0.9, 0.5)
    asked = [room(limit(2, 1, age=age, confirmed=2), sent, now=NOW)[0] for age in (1, 3.9, 4, 5)]
    assert asked == [0, 0, 1, 1]


def test_only_a_refusal_after_the_gate_was_open_confirms_a_limit() -> None:
    def confirmed(age: float) -> int:
        before = limit(2, 1, age=age, confirmed=1)
        return learn(ago(0.9, 0.5), retry_after=1, now=NOW, before=before)[0].confirmed

    assert (confirmed(0.2), confirmed(1.5), confirmed(1000)) == (1, 2, 0)


def test_a_belief_that_is_old_binds_nobody() -> None:
    assert room(limit(2, age=301), ago(50, 40), now=NOW) == (None, None)


@pytest.mark.parametrize(
    ("window", "used"),
    [(1.0, 0.5), (10.0, 0.9), (60.0, 0.9)],  # each test of a short window costs a second
)
@given(creates=st.integers(1, 120), threads=st.integers(8, 64))
@settings(deadline=None, max_examples=10)
def test_whatever_the_limit_it_is_used_and_seldom_exceeded(
    window: float, used: float, creates: int, threads: int
) -> None:
    """A sliding window, asked by as many threads as there are whenever there is room."""
    admitted: deque[float] = deque()  # by Recall, seconds
    sent: list[Sent] = []
    belief: Limit | None = None
    at, closed_until, refused = 0.0, NOW, 0
    while at < 3.5 * window:
        now = NOW + timedelta(seconds=at)
        since = now - timedelta(seconds=belief.seconds if belief else 0.0)
        free, _ = room(belief, [each for each in sent if each.at > since], now=now)
        may_leave = threads if free is None else min(free, threads)
        for _ in range(may_leave if now >= closed_until else 0):
            while admitted and at - admitted[0] >= window:
                admitted.popleft()
            if len(admitted) < creates:
                admitted.append(at)
                sent.append(Sent(at=now, admitted=True))
                continue
            refused += 1
            belief, opens_at = learn(
                [each for each in sent if each.at > now - timedelta(seconds=60)],
                retry_after=max(1, ceil(admitted[0] + window - at)),
                now=now,
                before=belief,
            )
            closed_until = max(closed_until, opens_at)
        at += 0.05
    # It opens at 0, 1, 2 and 3 windows.
    assert len(sent) >= used * 4 * creates
    assert refused <= 2 * threads + 10
