"""How long a start may be tried to be connected, counted from Zoom's event. Pure.

What happens within that time is decided in `rtms.jobs.connect.retry_policy`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rtms.intake.results import Arrival


def window_closes_at(event_ts: int, arrival: Arrival, *, seconds: float) -> datetime:
    """Return when Zoom stops waiting for a stream to be connected, by our clock.

    The time already spent is measured by Zoom's clock alone, from the event to its sending, so an
    offset between the two clocks does not matter.

    Args:
        event_ts: milliseconds since epoch, Zoom's clock.
        seconds: how long Zoom waits (CONNECT_WINDOW_SECONDS).
    """
    passed = max(arrival.sent_ts - event_ts, 0) / 1000
    return arrival.received_at + timedelta(seconds=seconds - passed)
