"""How long and how often a connection is followed, and when it has reached its end. It decides, and
does nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models import Reason, State
from rtms.media import ConnectionState

# Seconds. After its stop a row is looked at soon, then less and less often, for a day.
_FIRST_LOOK = 15.0
_LONGEST_WAIT = 600.0
_FOLLOW = timedelta(hours=24)
# While connected it is looked at now and then: a lost `rtms_stopped` must not leave it open.
_LIVE_WAIT = 300.0
_LONGEST_LIVE_WAIT = 1800.0
_FOLLOW_LIVE = timedelta(hours=48)  # longer than any of Zoom's meetings
_GROWTH = 4  # a wait is this part of the time that has passed

# A connection's status codes are an open set. These say that its stream is over, and these that no
# recording will come of it.
_ENDS = ("done", "ended")
_FAILURES = ("failed", "fatal")


def first_look(now: datetime) -> datetime:
    """When to ask about a row whose stream has just stopped."""
    return now + timedelta(seconds=_FIRST_LOOK)


def first_look_while_live(now: datetime) -> datetime:
    """When to ask about a row that has just been connected."""
    return now + timedelta(seconds=_LIVE_WAIT)


def next_look(
    *, state: str, now: datetime, connected_at: datetime, stopped_at: datetime | None
) -> datetime | None:
    """When to ask about a row again; None when it was followed long enough."""
    if state == State.CONNECTED:
        since, shortest, longest, follow = (
            connected_at,
            _LIVE_WAIT,
            _LONGEST_LIVE_WAIT,
            _FOLLOW_LIVE,
        )
    else:
        since = stopped_at or connected_at  # where the stop was lost, the latest that is known
        shortest, longest, follow = _FIRST_LOOK, _LONGEST_WAIT, _FOLLOW
    passed = now - since
    if passed > follow:
        return None
    wait = min(max(passed.total_seconds() / _GROWTH, shortest), longest)
    return now + timedelta(seconds=wait)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What Recall's word makes of a row."""

    state: State
    reason: Reason | None = None
    due_at: datetime | None = None
    error: str | None = None


def stand(
    found: ConnectionState,
    *,
    state: str,
    now: datetime,
    connected_at: datetime,
    stopped_at: datetime | None,
) -> Standing:
    """Decide where a row stands, from what Recall says of its connection.

    Args:
        found: the connection as Recall has it.
        state: the row's state so far.
        now: the moment of the decision.
        connected_at: when it was connected.
        stopped_at: when its stream stopped, if it is known to have.
    """
    recordings = found.recordings
    if recordings and all(recording.is_over for recording in recordings):
        if all(recording.status == "failed" for recording in recordings):
            return _failed("Recall says that the recording failed", recordings[-1].sub_code)
        return Standing(state=State.DONE)
    if found.status in _FAILURES and not recordings:
        return _failed("Recall says that there will be no recording", found.sub_code)
    if state == State.CONNECTED and found.status in _ENDS:
        state = State.ENDED
    due_at = next_look(state=state, now=now, connected_at=connected_at, stopped_at=stopped_at)
    error = None
    if due_at is None:
        error = (
            "Recall was asked long enough and showed no end of it. `flask meetings refresh` asks "
            "once more."
        )
    return Standing(state=State(state), due_at=due_at, error=error)


def _failed(what: str, why: str | None) -> Standing:
    error = f"{what}: {why}." if why else f"{what}."
    return Standing(state=State.FAILED, reason=Reason.RECALL_FAILED, error=error)
