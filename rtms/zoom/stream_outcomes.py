"""The outcomes of asking Zoom to start or stop a meeting's stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args


@dataclass(frozen=True)
class Accepted:
    """Zoom accepted the request, and carries it out later. A stream that starts is announced by
    `meeting.rtms_started`, as always."""

    name: ClassVar = "accepted"


@dataclass(frozen=True, kw_only=True)
class NotLive:
    """Zoom knows no such live meeting: it has not begun yet, or is over (code 3000)."""

    name: ClassVar = "not_live"
    error: str


@dataclass(frozen=True, kw_only=True)
class NotAllowed:
    """Zoom refused, and would refuse again until a person changes something."""

    name: ClassVar = "not_allowed"
    error: str  # why, and what to do


@dataclass(frozen=True, kw_only=True)
class TryLater:
    """Zoom did nothing, and may do it later: a rate limit, a fault, or no answer to a request for
    a token."""

    name: ClassVar = "try_later"
    error: str
    retry_after: float | None = None  # seconds, where the answer names them
    is_rate_limit: bool = False  # 429: no process may send a request for a while


@dataclass(frozen=True, kw_only=True)
class OutcomeUnknown:
    """Zoom may have done it. Asking again is harmless: a meeting has one stream for each user."""

    name: ClassVar = "unknown"
    error: str


StreamOutcome = Accepted | NotLive | NotAllowed | TryLater | OutcomeUnknown
# The names of the outcomes, for metrics.
STREAM_OUTCOMES: tuple[str, ...] = tuple(each.name for each in get_args(StreamOutcome))
