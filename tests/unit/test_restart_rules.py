"""When Zoom is asked again for a stream, and when it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Reason, RequestAction, RequestCause, RequestState, State
from rtms.stream_requests.rules import (
    LONGEST_REQUEST,
    Asked,
    Close,
    Known,
    Send,
    Wait,
    after_sending,
    before_sending,
    cause_of_loss,
)
from rtms.zoom.stop_reasons import STOP_REASONS
from rtms.zoom.stream_outcomes import (
    Accepted,
    NotAllowed,
    NotLive,
    OutcomeUnknown,
    StreamOutcome,
    TryLater,
)

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
FAULTS = (10, 11, 12, 13, 14, 15, 16, 19, 24)
ASKED = Asked(
    action=RequestAction.START,
    cause=RequestCause.STREAM_FAULT,
    created_at=NOW,
    attempts=0,
    not_live=0,
)
KNOWN = Known(has_ended=False, live_row=None, restarts=0, recall_takes_streams=True)


@pytest.mark.parametrize("stop_reason", [None, *STOP_REASONS, 99])
def test_a_stream_is_asked_for_again_only_after_a_fault(stop_reason: int | None) -> None:
    cause = cause_of_loss(state=State.ENDED, reason=None, stop_reason=stop_reason)
    assert (cause is not None) == (stop_reason in FAULTS)
    cause = cause_of_loss(state=State.SKIPPED, reason=Reason.STOPPED_FIRST, stop_reason=stop_reason)
    assert (cause is not None) == (stop_reason in FAULTS)


def test_a_stream_that_was_connected_too_late_waits_for_recall() -> None:
    late = cause_of_loss(state=State.FAILED, reason=Reason.WINDOW_EXPIRED, stop_reason=None)
    assert late == RequestCause.WINDOW_EXPIRED
    assert cause_of_loss(state=State.ENDED, reason=None, stop_reason=11) == late
    assert cause_of_loss(state=State.FAILED, reason=Reason.WINDOW_EXPIRED, stop_reason=13) == late
    assert cause_of_loss(state=State.FAILED, reason=Reason.WINDOW_EXPIRED, stop_reason=6) is None


@pytest.mark.parametrize("stop_reason", [None, *STOP_REASONS])
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.FAILED, Reason.REFUSED),
        (State.FAILED, Reason.RECALL_FAILED),
        (State.SKIPPED, Reason.NOT_WANTED),
        (State.SKIPPED, Reason.UNSUPPORTED),
    ],
)
def test_what_would_fail_again_or_is_not_wanted_is_not_asked_for(
    state: State, reason: Reason, stop_reason: int | None
) -> None:
    assert cause_of_loss(state=state, reason=reason, stop_reason=stop_reason) is None


@pytest.mark.parametrize(
    ("known", "state", "words"),
    [
        (replace(KNOWN, has_ended=True), RequestState.WITHDRAWN, "has ended"),
        (replace(KNOWN, live_row=7), RequestState.WITHDRAWN, "meeting 7"),
        (replace(KNOWN, restarts=5), RequestState.GIVEN_UP, "RESTARTS_PER_MEETING"),
    ],
)
def test_a_request_that_makes_no_sense_any_more_is_closed(
    known: Known, state: RequestState, words: str
) -> None:
    step = before_sending(ASKED, known, most_restarts=5, now=NOW)
    assert isinstance(step, Close)
    assert step.state == state
    assert step.error and words in step.error


def test_a_request_is_given_up_after_four_hours() -> None:
    late = NOW + LONGEST_REQUEST
    step = before_sending(ASKED, KNOWN, most_restarts=5, now=late)
    assert isinstance(step, Close)
    assert step.state == RequestState.GIVEN_UP
    assert before_sending(ASKED, KNOWN, most_restarts=5, now=late - timedelta(seconds=1)) == Send()


def test_what_a_person_asks_for_has_no_limit_and_waits_for_nothing() -> None:
    asked = replace(ASKED, cause=RequestCause.BY_HAND)
    known = replace(KNOWN, restarts=99, recall_takes_streams=False)
    assert before_sending(asked, known, most_restarts=5, now=NOW) == Send()


def test_it_is_asked_for_once_recall_takes_streams() -> None:
    asked = replace(ASKED, cause=RequestCause.WINDOW_EXPIRED)
    down = replace(KNOWN, recall_takes_streams=False)
    step = before_sending(asked, down, most_restarts=5, now=NOW)
    assert isinstance(step, Wait)
    assert step.until == NOW + timedelta(seconds=5)
    assert before_sending(asked, KNOWN, most_restarts=5, now=NOW) == Send()
    assert before_sending(ASKED, down, most_restarts=5, now=NOW) == Send()


@pytest.mark.parametrize(
    "outcome",
    [TryLater(error="x"), NotLive(error="x"), OutcomeUnknown(error="x")],
)
def test_the_waits_grow_to_two_minutes(outcome: StreamOutcome) -> None:
    waits = []
    for attempts in range(1, 7):
        step = after_sending(replace(ASKED, attempts=attempts, not_live=1), outcome, now=NOW)
        assert isinstance(step, Wait)
        assert step.state == RequestState.WAITING
        waits.append((step.until - NOW).total_seconds())
    assert waits == [5, 15, 60, 120, 120, 120]


def test_zooms_own_wait_is_kept() -> None:
    sent = replace(ASKED, attempts=1)
    step = after_sending(sent, TryLater(error="x", retry_after=33.0), now=NOW)
    assert isinstance(step, Wait)
    assert step.until == NOW + timedelta(seconds=33)


def test_an_accepted_request_stays_open_until_its_stream_comes() -> None:
    step = after_sending(replace(ASKED, attempts=1), Accepted(), now=NOW)
    assert step == Wait(until=NOW + timedelta(seconds=60), state=RequestState.ACCEPTED)
    stop = replace(ASKED, action=RequestAction.STOP, attempts=1)
    assert after_sending(stop, Accepted(), now=NOW) == Close(state=RequestState.FULFILLED)


def test_a_meeting_that_zoom_does_not_know_is_over_after_the_fourth_answer() -> None:
    for answers in (1, 2, 3):
        sent = replace(ASKED, attempts=answers, not_live=answers)
        assert isinstance(after_sending(sent, NotLive(error="3000"), now=NOW), Wait)
    fourth = after_sending(replace(ASKED, attempts=4, not_live=4), NotLive(error="3000"), now=NOW)
    assert fourth == Close(state=RequestState.WITHDRAWN, error="3000")
    by_hand = replace(ASKED, cause=RequestCause.BY_HAND, attempts=1, not_live=1)
    assert isinstance(after_sending(by_hand, NotLive(error="3000"), now=NOW), Close)


def test_a_refusal_is_final() -> None:
    step = after_sending(replace(ASKED, attempts=1), NotAllowed(error="no"), now=NOW)
    assert step == Close(state=RequestState.REFUSED, error="no")


OUTCOMES: list[StreamOutcome] = [
    Accepted(),
    NotLive(error="3000"),
    NotAllowed(error="2310"),
    TryLater(error="500"),
    TryLater(error="429", retry_after=7.0, is_rate_limit=True),
    OutcomeUnknown(error="hung"),
]


@settings(max_examples=2000)
@given(
    cause=st.sampled_from(list(RequestCause)),
    history=st.lists(
        st.tuples(
            st.sampled_from(OUTCOMES),
            st.booleans(),  # the meeting has ended
            st.sampled_from([None, None, 3]),  # a live row
            st.integers(0, 6),  # restarts
            st.booleans(),  # Recall takes streams
        ),
        min_size=5,
        max_size=30,
    ),
)
def test_nothing_is_asked_where_the_table_says_no(
    cause: RequestCause, history: list[tuple[StreamOutcome, bool, int | None, int, bool]]
) -> None:
    asked, now = replace(ASKED, cause=cause), NOW
    for outcome, has_ended, live_row, restarts, recall_takes_streams in history:
        known = Known(
            has_ended=has_ended,
            live_row=live_row,
            restarts=restarts,
            recall_takes_streams=recall_takes_streams,
        )
        step: Send | Wait | Close = before_sending(asked, known, most_restarts=5, now=now)
        if isinstance(step, Send):
            assert not has_ended
            assert live_row is None
            assert now < NOW + LONGEST_REQUEST
            if cause != RequestCause.BY_HAND:
                assert restarts < 5
            if cause == RequestCause.WINDOW_EXPIRED:
                assert recall_takes_streams
            not_live = asked.not_live + 1 if isinstance(outcome, NotLive) else 0
            asked = replace(asked, attempts=asked.attempts + 1, not_live=not_live)
            step = after_sending(asked, outcome, now=now)
            if isinstance(outcome, NotAllowed):
                assert isinstance(step, Close)
        if isinstance(step, Close):
            assert step.error or isinstance(outcome, Accepted)
            return
        assert isinstance(step, Wait)
        assert timedelta(seconds=5) <= step.until - now <= timedelta(seconds=120)
        now = step.until
