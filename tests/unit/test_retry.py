"""The retry policy: what a try's outcome makes of its row, without a database or a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Reason, State
from rtms.jobs.connect.retry_policy import Decision, decide
from rtms.recall.create_outcomes import (
    Created,
    CreateOutcome,
    NotDone,
    OutcomeUnknown,
    RateLimited,
    Refused,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

CREATED = Created(recall_id="r-1", status="joining", sub_code=None)
REFUSED = Refused(error="Recall answered 402.")


OPENS_AT = NOW + timedelta(seconds=5)  # where a 429 closed the gate


def limited(seconds: float = 5.0) -> RateLimited:
    return RateLimited(retry_after=seconds, error="Recall answered 429.")


def not_done(seconds: float | None = None) -> NotDone:
    return NotDone(retry_after=seconds, error="Recall answered 507.")


def unknown(seconds: float | None = None) -> OutcomeUnknown:
    return OutcomeUnknown(retry_after=seconds, error="No answer from Recall.")


def after(
    outcome: CreateOutcome,
    *,
    attempts: int = 0,
    left: float = 60,
    stopped: bool = False,
    jitter: float = 1.0,
) -> Decision:
    """The decision, with so many seconds left of the window."""
    return decide(
        outcome,
        attempts=attempts,
        now=NOW,
        connect_by=NOW + timedelta(seconds=left),
        stopped=stopped,
        jitter=jitter,
        opens_at=OPENS_AT,
    )


def wait(decision: Decision) -> float:
    """Seconds until the next try."""
    assert decision.state == State.PENDING
    assert decision.due_at is not None
    return (decision.due_at - NOW).total_seconds()


# Each outcome: the state, the reason, whether the next try has a new key, whether this was a try.
# Recall: idempotency. A completed refusal needs a new key, an unknown outcome the same one.
INSIDE = {
    "created": (CREATED, State.CONNECTED, None, False, True),
    "refused": (REFUSED, State.FAILED, Reason.REFUSED, True, True),
    "429": (limited(), State.PENDING, None, True, False),
    "429 beyond": (limited(600), State.PENDING, None, True, False),
    "not done": (not_done(), State.PENDING, None, True, True),
    "not done, wait": (not_done(30), State.PENDING, None, True, True),
    "not done, beyond": (not_done(120), State.PENDING, None, True, True),
    "unknown": (unknown(), State.PENDING, None, False, True),
    "unknown, wait": (unknown(30), State.PENDING, None, False, True),
    "unknown, beyond": (unknown(120), State.PENDING, None, False, True),
}


@pytest.mark.parametrize("attempts", [0, 1, 7])
@pytest.mark.parametrize(
    ("outcome", "state", "reason", "new_key", "is_try"), INSIDE.values(), ids=INSIDE
)
def test_inside_the_window(
    outcome: CreateOutcome,
    state: State,
    reason: Reason | None,
    new_key: bool,
    is_try: bool,
    attempts: int,
) -> None:
    decision = after(outcome, attempts=attempts)
    assert (decision.state, decision.reason) == (state, reason)
    assert decision.is_try is is_try
    if state != State.CONNECTED:
        assert decision.new_key is new_key
        assert decision.error == getattr(outcome, "error", None)


# The first try is always made, however late: what comes of it is known after the window.
LATE = {
    "created": (CREATED, State.CONNECTED, None),
    "refused": (REFUSED, State.FAILED, Reason.REFUSED),
    "not done": (not_done(), State.FAILED, Reason.WINDOW_EXPIRED),
    "not done, wait": (not_done(5), State.FAILED, Reason.WINDOW_EXPIRED),
    "unknown": (unknown(), State.FAILED, Reason.WINDOW_EXPIRED),
    "unknown, wait": (unknown(5), State.FAILED, Reason.WINDOW_EXPIRED),
}


@pytest.mark.parametrize("left", [0, -1, -300])
@pytest.mark.parametrize(("outcome", "state", "reason"), LATE.values(), ids=LATE)
def test_after_the_window_nothing_is_tried_again(
    outcome: CreateOutcome, state: State, reason: Reason | None, left: float
) -> None:
    decision = after(outcome, left=left)
    assert (decision.state, decision.reason) == (state, reason)
    assert decision.due_at is None


# The stream was stopped while the try was under way.
STOPPED = {
    "created": (CREATED, 60, State.ENDED, None),
    "created late": (CREATED, -1, State.ENDED, None),
    "429": (limited(), 60, State.SKIPPED, Reason.STOPPED_FIRST),
    "not done": (not_done(), 60, State.SKIPPED, Reason.STOPPED_FIRST),
    "not done late": (not_done(), -1, State.SKIPPED, Reason.STOPPED_FIRST),
    # Recall may have the stream: only the same request, made again, can tell.
    "unknown": (unknown(), 60, State.PENDING, None),
    "unknown late": (unknown(), -1, State.SKIPPED, Reason.STOPPED_FIRST),
}


@pytest.mark.parametrize(("outcome", "left", "state", "reason"), STOPPED.values(), ids=STOPPED)
def test_a_stream_that_was_stopped_meanwhile(
    outcome: CreateOutcome, left: float, state: State, reason: Reason | None
) -> None:
    decision = after(outcome, left=left, stopped=True)
    assert (decision.state, decision.reason) == (state, reason)
    assert not (decision.new_key and decision.state == State.PENDING)


# How long to wait


@pytest.mark.parametrize("outcome", [not_done(), unknown()], ids=["not done", "unknown"])
def test_waits_are_short_at_first_jittered_and_grow(outcome: CreateOutcome) -> None:
    longest = [wait(after(outcome, attempts=tried, left=3600)) for tried in range(30)]
    shortest = [wait(after(outcome, attempts=tried, left=3600, jitter=0.0)) for tried in range(30)]
    assert 0 < shortest[0] < longest[0] <= 1
    assert longest == sorted(longest)
    assert longest[3] > longest[1] > longest[0]
    assert all(low < high for low, high in zip(shortest, longest, strict=True))
    assert longest[-1] <= 10  # the window has room for several tries to come


@pytest.mark.parametrize("outcome", [not_done, unknown])
@pytest.mark.parametrize(
    ("retry_after", "left"), [(5, 60), (30, 60), (58, 60), (2.5, 4), (59.5, 60), (0.6, 1.2)]
)
def test_a_retry_after_that_ends_inside_the_window_is_obeyed(
    outcome: Callable[[float], CreateOutcome], retry_after: float, left: float
) -> None:
    assert retry_after <= wait(after(outcome(retry_after), left=left)) < left


@pytest.mark.parametrize("outcome", [not_done, unknown])
@pytest.mark.parametrize("retry_after", [60.0, 61.0, 3600.0])
def test_a_retry_after_beyond_the_window_leaves_one_last_try_inside(
    outcome: Callable[[float], CreateOutcome], retry_after: float
) -> None:
    assert 50 < wait(after(outcome(retry_after))) < 60


def test_a_short_retry_after_does_not_make_the_tries_denser() -> None:
    assert wait(after(not_done(0), attempts=5, left=600)) == wait(
        after(not_done(), attempts=5, left=600)
    )


# 429: no try of the row that met it, whose turn comes when the gate opens


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("left", [60, 0, -300])
@pytest.mark.parametrize("attempts", [0, 1])
def test_a_429_is_no_try_whenever_it_comes(attempts: int, left: float, stopped: bool) -> None:
    assert not after(limited(), attempts=attempts, left=left, stopped=stopped).is_try


@pytest.mark.parametrize("left", [60, 1, 0, -1, -300])
def test_a_first_try_that_met_a_429_is_still_owed_however_late(left: float) -> None:
    decision = after(limited(), attempts=0, left=left)
    assert decision.state == State.PENDING
    assert decision.due_at == OPENS_AT


@pytest.mark.parametrize("left", [0, -1, -300])
def test_a_later_try_that_met_a_429_is_not_owed_after_the_window(left: float) -> None:
    decision = after(limited(), attempts=1, left=left)
    assert (decision.state, decision.reason) == (State.FAILED, Reason.WINDOW_EXPIRED)


def in_flight() -> OutcomeUnknown:
    return OutcomeUnknown(retry_after=None, error="Recall answered 409.", in_flight=True)


@pytest.mark.parametrize("left", [60, 1, 0, -300])
@pytest.mark.parametrize("attempts", [0, 5])
def test_what_is_being_connected_is_asked_about_until_it_is_known(
    left: float, attempts: int
) -> None:
    decision = after(in_flight(), left=left, attempts=attempts)
    assert 0 < wait(decision) <= 8
    assert not decision.new_key
    assert decision.due_at is not None
    assert decision.due_at <= (decision.connect_by or NOW + timedelta(seconds=left))


# Whatever comes

SECONDS = st.floats(0, 3600)
OUTCOMES = (
    st.sampled_from([CREATED, REFUSED])
    | SECONDS.map(limited)
    | (st.none() | SECONDS).map(not_done)
    | (st.none() | SECONDS).map(unknown)
)


@given(
    outcome=OUTCOMES,
    attempts=st.integers(0, 10_000),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    left=st.floats(-3600, 3600) | st.floats(-2, 2),
    stopped=st.booleans(),
    jitter=st.floats(0, 1),
)
@settings(deadline=None, max_examples=500)
def test_the_policy_holds_for_every_input(
    outcome: CreateOutcome, attempts: int, now: datetime, left: float, stopped: bool, jitter: float
) -> None:
    connect_by = now + timedelta(seconds=left)
    decision = decide(
        outcome,
        attempts=attempts,
        now=now,
        connect_by=connect_by,
        stopped=stopped,
        jitter=jitter,
        opens_at=now + timedelta(seconds=5),
    )
    # A row says what it wants: the next try's moment where it is pending, a reason where it failed.
    assert (decision.due_at is not None) == (decision.state == State.PENDING)
    assert (decision.reason is not None) == (decision.state in (State.FAILED, State.SKIPPED))
    assert (decision.error is None) == isinstance(outcome, Created)
    if decision.due_at:
        assert decision.due_at > now
        assert decision.due_at <= connect_by or isinstance(outcome, RateLimited)
    if isinstance(outcome, OutcomeUnknown):
        assert not decision.new_key
    if decision.state == State.PENDING and isinstance(outcome, NotDone | RateLimited):
        assert decision.new_key
