"""What Zoom's events mean."""

from __future__ import annotations

from dataclasses import dataclass

from models import Product


@dataclass(frozen=True, kw_only=True)
class Started:
    """A stream waits to be connected."""

    product: Product
    rtms_stream_id: str
    meeting_uuid: str  # or a webinar's UUID, or a session's id
    server_urls: str  # several are separated by commas; empty where a product has none
    event_ts: int  # milliseconds since epoch, Zoom's clock
    meeting_id: str | None  # the number people know, of a meeting or webinar
    account_id: str | None  # of the meeting's owner
    operator_id: str | None
    is_original_host: bool | None


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A stream is over."""

    rtms_stream_id: str
    event_ts: int
    stop_reason: int | None
    meeting_uuid: str | None  # or a webinar's UUID, or a session's id


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A stream's signalling connection broke; Zoom waits for it to be restored."""

    rtms_stream_id: str
    event_ts: int
    rejoin: Started | None  # how to connect to the servers that Zoom names, if any


@dataclass(frozen=True, kw_only=True)
class MeetingStarted:
    """A meeting began. The event has its topic and host (Zoom: meeting.started)."""

    meeting_uuid: str
    meeting_id: str | None
    account_id: str | None
    host_id: str | None
    topic: str | None


@dataclass(frozen=True, kw_only=True)
class MeetingEnded:
    """A meeting is over (Zoom: meeting.ended)."""

    meeting_uuid: str
    meeting_id: str | None


@dataclass(frozen=True, kw_only=True)
class RequestStatus:
    """A host's answer to a request to start a stream. Zoom publishes no schema, so the payload is
    displayed unchanged and only searched for a meeting's ids (Zoom changelog, RTMS 2026-10-30)."""

    rtms_stream_id: str | None
    meeting_uuid: str | None
    meeting_id: str | None


@dataclass(frozen=True, kw_only=True)
class Deauthorized:
    """A user removed the app (Zoom: app_deauthorized)."""

    user_id: str
    account_id: str | None
    deauthorized_ts: int  # milliseconds since epoch, Zoom's clock
    keeps_data: bool  # the user allowed that what is stored of them is kept


@dataclass(frozen=True, kw_only=True)
class ConcurrencyNearLimit:
    """The account is close to Zoom's limit of streams at once."""

    number: int | None
    limit: int | None
    percentage: int | None


@dataclass(frozen=True, kw_only=True)
class ConcurrencyLimited:
    """Zoom started no stream for a meeting because the account is at its limit of streams."""

    number: int | None
    operator_id: str | None
    meeting_uuid: str | None


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """An event that the server does not handle. It is accepted and recorded."""


# What happens to one stream. Deliveries of one with the same stream and time are the same event.
StreamEvent = Started | Stopped | Interrupted
Meaning = (
    StreamEvent
    | MeetingStarted
    | MeetingEnded
    | RequestStatus
    | Deauthorized
    | ConcurrencyNearLimit
    | ConcurrencyLimited
    | Unknown
)
