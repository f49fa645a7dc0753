"""When Zoom is asked again for a stream, and when it is not: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models import Reason, RequestAction, RequestCause, RequestState, State
from rtms.zoom.stop_reasons import TIMED_OUT
from rtms.zoom.stream_outcomes import Accepted, NotAllowed, NotLive, StreamOutcome, TryLater

# Zoom: stop reasons. After these faults, a new stream may succeed. 17 is an exit signal; after 18
# (the join signature was refused) and 26 (streaming is not supported), it would fail again. All
# others are decisions of a person or an app.
RESTARTED_AFTER = frozenset({10, TIMED_OUT, 12, 13, 14, 15, 16, 19, 24})

_WAITS = (0.0, 5.0, 15.0, 60.0)  # seconds before each of the first requests
_LONGEST_WAIT = 120.0  # seconds before each request after those
_WAIT_FOR_STREAM = 60.0  # seconds from an accepted request to the next one
_WAIT_FOR_RECALL = 5.0  # seconds from one look at Recall to the next
_WAIT_FOR_STATUS = 2.0  # seconds, while Recall is asked whether a stream is still live
_NOT_LIVE_AT_MOST = 4  # answers in a row that there is no such meeting; a new one may lag behind
LONGEST_REQUEST = timedelta(hours=4)
_LONGEST_STOP = timedelta(minutes=5)  # after that, it could stop a later stream


def cause_of_loss(
    *, state: str, reason: str | None, stop_reason: int | None
) -> RequestCause | None:
    """Return why a row's stream is to be asked for again; None where it is not.

    Args:
        state, reason: of the row.
        stop_reason: Zoom's number; None where the stream has not stopped, or Zoom gave none.
    """
    if state == State.FAILED and reason == Reason.WINDOW_EXPIRED:
        was_not_in_time = stop_reason is None or stop_reason in RESTARTED_AFTER
        return RequestCause.WINDOW_EXPIRED if was_not_in_time else None
    was_wanted = state != State.SKIPPED or reason == Reason.STOPPED_FIRST
    if stop_reason in RESTARTED_AFTER and was_wanted and state != State.FAILED:
        # Nobody connected in time, so Recall may be unreachable.
        was_late = stop_reason == TIMED_OUT
        return RequestCause.WINDOW_EXPIRED if was_late else RequestCause.STREAM_FAULT
    return None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An open request, as far as the rules need it."""

    action: str
    cause: str
    created_at: datetime
    attempts: int
    not_live: int  # answers in a row that there is no such meeting
    last_error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a request's meeting before it is sent."""

    has_ended: bool
    live_row: int | None  # of the same user in this meeting
    # After an outage, the lost stream itself may be the live one. False: Recall has not said yet.
    is_live_for_sure: bool = True
    restarts: int  # requests for this user in this meeting that led to a stream
    recall_takes_streams: bool


@dataclass(frozen=True, kw_only=True)
class Send:
    """The request is to be sent."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The request is looked at again later."""

    until: datetime
    state: RequestState = RequestState.WAITING
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Close:
    """The request is over."""

    state: RequestState
    error: str | None = None


def before_sending(
    asked: Asked, known: Known, *, most_restarts: int, now: datetime
) -> Send | Wait | Close:
    """Decide whether a due request is sent.

    Args:
        most_restarts: RESTARTS_PER_MEETING. It does not limit what a person asks for.
    """
    if known.has_ended:
        return Close(state=RequestState.WITHDRAWN, error="The meeting has ended.")
    if asked.action == RequestAction.STOP:
        if now < asked.created_at + _LONGEST_STOP:
            return Send()
        return Close(state=RequestState.GIVEN_UP, error=asked.last_error or "Zoom did not stop it.")
    if now >= asked.created_at + LONGEST_REQUEST:
        return Close(
            state=RequestState.GIVEN_UP,
            error=f"No stream came in four hours, after {asked.attempts} requests.",
        )
    if known.live_row is not None and not known.is_live_for_sure:
        return Wait(until=now + timedelta(seconds=_WAIT_FOR_STATUS))
    if known.live_row is not None:
        return Close(
            state=RequestState.WITHDRAWN,
            error=f"A stream of this user in this meeting is live: meeting {known.live_row}.",
        )
    if asked.cause == RequestCause.BY_HAND:
        return Send()
    if known.restarts >= most_restarts:
        return Close(
            state=RequestState.GIVEN_UP,
            error=f"The stream was restarted {known.restarts} times in this meeting already "
            "(RESTARTS_PER_MEETING). `flask meetings restart` asks again.",
        )
    if asked.cause == RequestCause.WINDOW_EXPIRED and not known.recall_takes_streams:
        return Wait(
            until=now + timedelta(seconds=_WAIT_FOR_RECALL),
            error="Recall does not take streams at the moment.",
        )
    return Send()


def after_sending(asked: Asked, outcome: StreamOutcome, *, now: datetime) -> Wait | Close:
    """Decide what follows from Zoom's answer.

    Args:
        asked: with this attempt, and this answer, counted.
    """
    wait = _wait(max(asked.attempts, 1))  # a rate limit is no attempt
    match outcome:
        case Accepted():
            if asked.action == RequestAction.STOP:
                return Close(state=RequestState.FULFILLED)
            wait = max(wait, _WAIT_FOR_STREAM)
            return Wait(until=now + timedelta(seconds=wait), state=RequestState.ACCEPTED)
        case NotAllowed():
            return Close(state=RequestState.REFUSED, error=outcome.error)
        case NotLive():
            is_by_hand = asked.cause == RequestCause.BY_HAND
            if is_by_hand or asked.not_live >= _NOT_LIVE_AT_MOST:
                return Close(state=RequestState.WITHDRAWN, error=outcome.error)
        case TryLater() if outcome.retry_after is not None:
            wait = max(wait, outcome.retry_after)
    return Wait(until=now + timedelta(seconds=wait), error=outcome.error)


def _wait(attempts: int) -> float:
    """Return the seconds from one attempt to the next."""
    return _WAITS[attempts] if attempts < len(_WAITS) else _LONGEST_WAIT
