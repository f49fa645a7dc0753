"""Decide a row's state from Recall's answer, and when to ask again. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models import Reason, State
from rtms.recall.polling import next_look
from rtms.recall.recording_config import NOTHING_KEPT
from rtms.recall.responses import DirectConnectState, RecordingState

_MAX_CLOCK_SKEW = timedelta(minutes=5)  # between Recall and us

# Status codes of a direct connect, an open set.
_ENDS = ("done", "ended")  # the stream is over
_FAILURES = ("failed", "fatal")  # there will be no recording


@dataclass(frozen=True, kw_only=True)
class NextState:
    """A row's state after Recall's answer."""

    state: State
    reason: Reason | None = None
    due_at: datetime | None = None
    error: str | None = None


def last_medium_begun_at(found: DirectConnectState, now: datetime) -> datetime | None:
    """Return when Recall last began a medium that is still processing, such as a transcript made
    after the meeting; None where there is none, or Recall does not say when.

    A time in the future is ignored: the row would be followed until it has passed.
    """
    return max(
        (
            medium.created_at
            for recording in found.recordings
            for medium in recording.media
            if medium.status == "processing"
            and medium.created_at is not None
            and medium.created_at <= now + _MAX_CLOCK_SKEW
        ),
        default=None,
    )


def next_state(
    found: DirectConnectState,
    *,
    state: str,
    reason: str | None,
    now: datetime,
    connected_at: datetime,
    stopped_at: datetime | None,
    news_at: datetime | None = None,
    keeps_nothing: bool = False,
) -> NextState:
    """Decide a row's state from Recall's answer. A row that is done stays done, even if a medium
    fails later.

    Args:
        found: the direct connect as Recall has it.
        state: the row's current state.
        reason: the row's current reason.
        now: the current time.
        connected_at: when the row was connected.
        stopped_at: when its stream stopped, if known.
        news_at: when Recall last sent a status webhook about it (`next_look`).
        keeps_nothing: whether Recall was told to keep nothing (`recording_config.keeps_nothing`).
    """
    recordings = found.recordings
    ended = bool(recordings) and all(recording.has_ended for recording in recordings)
    if keeps_nothing and not any(recording.has_links for recording in recordings):
        if ended or (not recordings and found.status in _ENDS):
            return _at_the_end(recordings, state, NOTHING_KEPT)
    elif ended and all(recording.is_over for recording in recordings):
        return _at_the_end(recordings, state, None)
    if found.status in _FAILURES and not recordings and state != State.DONE:
        return _failed("Recall reports that there will be no recording", found.sub_code)
    if state == State.CONNECTED and found.status in _ENDS:
        state = State.ENDED
    signs = [at for at in (news_at, last_medium_begun_at(found, now)) if at is not None]
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
            f"Recall was still processing {', '.join(kinds)} when the server stopped asking. "
            "`flask meetings refresh` asks again.",
        )
    return NextState(
        state=State(state),
        reason=_reason(reason),
        error="Recall reported no end of it before the server stopped asking. `flask meetings "
        "refresh` asks again.",
    )


def _at_the_end(recordings: tuple[RecordingState, ...], state: str, error: str | None) -> NextState:
    has_failed = bool(recordings) and all(each.status == "failed" for each in recordings)
    if has_failed and state != State.DONE:
        return _failed("Recall reports that the recording failed", recordings[-1].sub_code)
    return NextState(state=State.DONE, error=error)


def _failed(what: str, why: str | None) -> NextState:
    error = f"{what}: {why}." if why else f"{what}."
    return NextState(state=State.FAILED, reason=Reason.RECALL_FAILED, error=error)


def _reason(reason: str | None) -> Reason | None:
    return None if reason is None else Reason(reason)
