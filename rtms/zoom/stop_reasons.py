"""Zoom's reasons for stopping a stream."""

from __future__ import annotations

MEETING_ENDED = 6
TIMED_OUT = 11  # not connected in time
NOT_AUTHENTICATED = 18  # of every stream until the credentials are right

# Zoom: RTMS events, `stop_reason`; 12 and up from Zoom's RTMS SDK.
STOP_REASONS = {
    1: "the host stopped it",
    2: "the app's user stopped it",
    3: "the app's user left",
    4: "the app's user was ejected",
    5: "the host disabled the app",
    6: "the meeting ended",
    7: "the stream was cancelled",
    8: "the stream was revoked",
    9: "all apps were disabled",
    10: "Zoom had an internal exception",
    11: "the connection timed out: the stream was not connected in time",
    12: "the instance connection was interrupted",
    13: "the signalling connection was interrupted",
    14: "the data connection was interrupted",
    15: "the signalling connection closed abnormally",
    16: "the data connection closed abnormally",
    17: "an exit signal",
    18: "authentication failure: Zoom refused the join signature, so ZOOM_CLIENT_ID or "
    "ZOOM_CLIENT_SECRET is wrong, often the development app's instead of the production app's",
    19: "waiting for a reconnection timed out",
    20: "the receiver asked to close",
    21: "the customer disconnected",
    22: "the agent disconnected",
    23: "an admin disabled the app",
    24: "the keep-alive timed out",
    25: "it was stopped through the API",
    26: "streaming is not supported",
}
# Zoom: failover and reconnection. The others are decisions of a person or an app.
_FAULTS = frozenset({*range(10, 20), 24})


def stop_reason_text(stop_reason: int | None) -> str:
    """Return Zoom's stop reason in words. The set is open: an unknown number is shown as such."""
    if stop_reason is None:
        return "Zoom gave no reason"
    return STOP_REASONS.get(stop_reason, f"Zoom's reason {stop_reason}, unknown to this version")


def is_fault(stop_reason: int | None) -> bool:
    """Return whether a stream stopped because of a fault rather than a decision."""
    return stop_reason in _FAULTS
