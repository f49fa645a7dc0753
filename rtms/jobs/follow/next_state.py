"""Where a row stands after Recall's answer, and when it has reached its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models import Reason, State
from rtms.recall.polling import next_look
from rtms.recall.recording_config import NOTHING_KEPT
from rtms.recall.responses import ConnectionState, RecordingState

_CLOCKS_APART = timedelta(minutes=5)  # of Recall's and ours, at most

# A connection's status codes are an open set. These say that its stream is over, and these that no
# recording will come of it.
_ENDS = ("done", "ended")
_FAILURES = ("failed", "fatal")


@dataclass(frozen=True, kw_only=True)
class NextState:
    """What Recall's answer makes of a row."""

    state: State
    reason: Reason | None = None
    due_at: datetime | None = None
    error: str | None = None


def begun_at(found: ConnectionState, now: datetime) -> datetime | None:
    """When Recall last began to make a medium that it has not finished: a transcript made after the
    meeting, for instance. None where there is none, or Recall does not say when.

    A moment that is yet to come is none: a row would be followed until it has passed.
    """
    return max(
        (
            medium.created_at
            for recording in found.recordings
            for medium in recording.media
            if medium.status == "processing"
            and medium.created_at is not None
            and medium.created_at <= now + _CLOCKS_APART
        ),
        default=None,
    )


def next_state(
    found: ConnectionState,
    *,
    state: str,
    reason: str | None,
    now: datetime,
    connected_at: datetime,
    stopped_at: datetime | None,
    news_at: datetime | None = None,
    keeps_nothing: bool = False,
) -> NextState:
    """Decide where a row stands, from what Recall says of its connection. A row that is done stays
    done, whatever becomes of a medium later.

    Args:
        found: the connection as Recall has it.
        state: the row's state so far.
        reason: the row's reason so far.
        now: the moment of the decision.
        connected_at: when it was connected.
        stopped_at: when its stream stopped, if it is known to have.
        news_at: when Recall last said that something is new (`next_look`).
        keeps_nothing: whether Recall was to keep nothing (`recording_config.keeps_nothing`).
    """
    recordings = found.recordings
    ended = bool(recordings) and all(recording.has_ended for recording in recordings)
    if keeps_nothing and not any(recording.has_links for recording in recordings):
        if ended or (not recordings and found.status in _ENDS):
            return _at_the_end(recordings, state, NOTHING_KEPT)
    elif ended and all(recording.is_over for recording in recordings):
        return _at_the_end(recordings, state, None)
    if found.status in _FAILURES and not recordings and state != State.DONE:
        return _failed("Recall says that there will be no recording", found.sub_code)
    if state == State.CONNECTED and found.status in _ENDS:
        state = State.ENDED
    signs = [moment for moment in (news_at, begun_at(found, now)) if moment is not None]
    due_at = next_look(
        state=state,
        now=now,
        connected_at=connected_at,
        stopped_at=stopped_at,
        news_at=max(signs, default=None),
    )
    if due_at is not None:
        return NextState(state=State(state), reason=_reason(reason), due_at=due_at)
    if ended:
        kinds = sorted({m.kind for r in recordings for m in r.media if m.status == "processing"})
        return _at_the_end(
            recordings,
            state,
            f"Recall was asked long enough, and was still processing: {', '.join(kinds)}. "
            "`flask meetings refresh` asks once more.",
        )
    return NextState(
        state=State(state),
        reason=_reason(reason),
        error="Recall was asked long enough and showed no end of it. `flask meetings refresh` asks "
        "once more.",
    )


def _at_the_end(recordings: tuple[RecordingState, ...], state: str, error: str | None) -> NextState:
    has_failed = bool(recordings) and all(each.status == "failed" for each in recordings)
    if has_failed and state != State.DONE:
        return _failed("Recall says that the recording failed", recordings[-1].sub_code)
    return NextState(state=State.DONE, error=error)


def _failed(what: str, why: str | None) -> NextState:
    error = f"{what}: {why}." if why else f"{what}."
    return NextState(state=State.FAILED, reason=Reason.RECALL_FAILED, error=error)


def _reason(reason: str | None) -> Reason | None:
    return None if reason is None else Reason(reason)
