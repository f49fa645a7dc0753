"""When to ask Recall about a connection: how soon, how often, and for how long. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from models import State

# Seconds. After its stop a row is looked at soon, then less and less often, for a day.
_FIRST_LOOK = 15.0
_LONGEST_WAIT = 600.0
_FOLLOW = timedelta(hours=24)
# While connected it is looked at now and then: a lost `rtms_stopped` must not leave it open.
_LIVE_WAIT = 300.0
_LONGEST_LIVE_WAIT = 1800.0
_FOLLOW_LIVE = timedelta(hours=48)  # longer than any of Zoom's meetings
_GROWTH = 4  # a wait is this part of the time that has passed


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
    """Return when to ask about a row again; None when it was followed long
    enough.

    Args:
        state: the row's.
        now: the moment of the decision.
        connected_at: when it was connected.
        stopped_at: when its stream stopped, if it is known to have.
        news_at: when there was last a sign of something new after the stream: Recall said so, or
            began to make a medium. It is followed from then on, as after a stop.
    """
    if state == State.CONNECTED:
        since, shortest, longest, follow = (
            connected_at,
            _LIVE_WAIT,
            _LONGEST_LIVE_WAIT,
            _FOLLOW_LIVE,
        )
    else:
        # Where the stop was lost, the latest that is known.
        since = max(stopped_at or connected_at, news_at or connected_at)
        shortest, longest, follow = _FIRST_LOOK, _LONGEST_WAIT, _FOLLOW
    passed = now - since
    if passed > follow:
        return None
    wait = min(max(passed.total_seconds() / _GROWTH, shortest), longest)
    return now + timedelta(seconds=wait)
