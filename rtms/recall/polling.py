"""When to ask Recall about a direct connect: how soon, how often, and for how long. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from models import State

# Seconds. A stopped stream is polled soon, then less and less often, for a day.
_FIRST_LOOK = 15.0
_LONGEST_WAIT = 600.0
_FOLLOW = timedelta(hours=24)
# A connected stream is polled rarely, in case its `rtms_stopped` was lost.
_LIVE_WAIT = 300.0
_LONGEST_LIVE_WAIT = 1800.0
_FOLLOW_LIVE = timedelta(hours=48)  # longer than any of Zoom's meetings
_GROWTH = 4  # a wait is the time that has passed, divided by this


def first_look(now: datetime) -> datetime:
    """Return when to ask about a row whose stream has just stopped."""
    return now + timedelta(seconds=_FIRST_LOOK)


def first_look_while_live(now: datetime) -> datetime:
    """Return when to ask about a row that has just been connected."""
    return now + timedelta(seconds=_LIVE_WAIT)


def next_look(
    *,
    state: str,
    now: datetime,
    connected_at: datetime,
    stopped_at: datetime | None,
    news_at: datetime | None = None,
) -> datetime | None:
    """Return when to ask about a row again; None when it was polled long enough.

    Args:
        state: the row's state.
        now: the current time.
        connected_at: when the row was connected.
        stopped_at: when its stream stopped, if known.
        news_at: when Recall last sent a status webhook or began a medium. The row is polled from
            then on, as after a stop.
    """
    if state == State.CONNECTED:
        since, shortest, longest, follow = (
            connected_at,
            _LIVE_WAIT,
            _LONGEST_LIVE_WAIT,
            _FOLLOW_LIVE,
        )
    else:
        # If the stop was lost, from the latest known event.
        since = max(stopped_at or connected_at, news_at or connected_at)
        shortest, longest, follow = _FIRST_LOOK, _LONGEST_WAIT, _FOLLOW
    passed = now - since
    if passed > follow:
        return None
    wait = min(max(passed.total_seconds() / _GROWTH, shortest), longest)
    return now + timedelta(seconds=wait)
