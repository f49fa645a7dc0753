"""Parse Zoom's events from decoded bodies, in either of the two shapes that Zoom sends.

A field that is needed to act on an event must be valid, or the event is rejected. An invalid field
that is only displayed is dropped. The event log keeps the whole body either way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models import Product
from rtms.text import shown

_MAX_ID = 255  # characters; Zoom's own ids have 24 to 36
_MAX_SERVER_URLS = 4096  # characters
# Milliseconds. A plausible `event_ts` is after 2020, when RTMS did not exist yet, and at most a day
# after the event was sent.
_EARLIEST_EVENT_TS = 1_577_836_800_000
_MAX_AHEAD = 86_400_000


class MalformedEvent(Exception):
    """An RTMS event lacks a field that is needed. The message names it and its expected form."""


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
class RequestStatus:
    """A host's answer to a request to start a stream. Zoom publishes no schema, so the payload is
    displayed unchanged and only searched for a meeting's ids (Zoom changelog, RTMS 2026-10-30)."""

    rtms_stream_id: str | None
    meeting_uuid: str | None
    meeting_id: str | None


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


Meaning = (
    Started
    | Stopped
    | Interrupted
    | MeetingStarted
    | RequestStatus
    | ConcurrencyNearLimit
    | ConcurrencyLimited
    | Unknown
)


def parse(body: dict[str, Any], sent_ts: int) -> Meaning:
    """Parse a decoded, verified body (Zoom: RTMS events).

    Args:
        body: the delivery.
        sent_ts: when Zoom sent it, in milliseconds since epoch. It replaces an implausible
            `event_ts`: one in seconds, a placeholder, or one in the far future.

    Raises:
        MalformedEvent: an RTMS event lacks a field that is needed to act on it.
    """
    name: str = body["event"]
    if name in _OTHER_EVENTS:
        return _OTHER_EVENTS[name](_Fields(body, sent_ts))
    product, _, verb = name.partition(".")
    # Contact Center: voice_rtms_started.
    verb = verb.removeprefix("voice_") if product == Product.CONTACT_CENTER else verb
    if product in _UUID_FIELDS and verb in _STREAM_EVENTS:
        return _STREAM_EVENTS[verb](_Fields(body, sent_ts), Product(product))
    return Unknown()


def dedupe_key(body: dict[str, Any], meaning: Meaning | None) -> str:
    """Return a key that all deliveries of one event share. Several subscriptions of an app deliver
    the same event, and a redelivery repeats it exactly. The key starts with the time so that new
    keys are next to each other in the database's index."""
    if isinstance(meaning, Started | Stopped | Interrupted) and (
        meaning.event_ts == body["event_ts"]  # a replaced one differs with every delivery
    ):
        return f"{meaning.event_ts}:{body['event']}:{meaning.rtms_stream_id}"
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class _Fields:
    """An event's fields. Zoom's OpenAPI has them in `payload`, some of its guides in
    `payload.object`."""

    def __init__(self, body: dict[str, Any], sent_ts: int) -> None:
        self._name: str = body["event"]
        self._sent_ts = sent_ts
        payload = body.get("payload")
        if not isinstance(payload, dict):
            if self._name not in _NO_SCHEMA:
                raise MalformedEvent(f"{self._name} has no `payload` object.")
            payload = {"payload": payload}
        nested = payload.get("object")
        self.payload: dict[str, Any] = payload
        self._fields = {**payload, **nested} if isinstance(nested, dict) else payload
        self._event_ts = body.get("event_ts")

    def event_ts(self) -> int:
        value = self._event_ts
        if type(value) is not int:
            raise MalformedEvent(
                f"{self._name} has no valid `event_ts`: it must be milliseconds since 1970."
            )
        is_plausible = _EARLIEST_EVENT_TS <= value <= self._sent_ts + _MAX_AHEAD
        return value if is_plausible else self._sent_ts

    def required_text(self, *names: str, longest: int = _MAX_ID) -> str:
        for name in names:
            value = self._fields.get(name)
            if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
                return value
        raise MalformedEvent(
            f"{self._name} has no valid `{names[0]}`: it must be a printable string "
            f"of 1 to {longest} characters."
        )

    def text(self, *names: str, longest: int = _MAX_ID) -> str | None:
        for name in names:
            if (value := _valid_text(self._fields.get(name), longest)) is not None:
                return value
        return None

    def title(self, name: str) -> str | None:
        value = self._fields.get(name)
        return shown(value) if isinstance(value, str) else None

    def anywhere(self, *names: str) -> str | None:
        """Return the first valid text with one of these names, at any depth."""
        level: list[Any] = [self.payload]
        while level:
            objects = [each for each in level if isinstance(each, dict)]
            found = (_valid_text(each.get(name), _MAX_ID) for each in objects for name in names)
            if value := next((value for value in found if value), None):
                return value
            lists = [each for each in level if isinstance(each, list)]
            level = [inner for each in objects for inner in each.values()]
            level += [inner for each in lists for inner in each]
        return None

    def integer(self, name: str) -> int | None:
        value = self._fields.get(name)
        return value if type(value) is int and abs(value) < 2**31 else None

    def boolean(self, name: str) -> bool | None:
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def object(self, name: str) -> dict[str, Any]:
        value = self._fields.get(name)
        return value if isinstance(value, dict) else {}


def _valid_text(value: object, longest: int) -> str | None:
    """Return a printable text within the limit, or a number as text; else None."""
    if type(value) is int and abs(value) < 2**63:
        value = str(value)
    is_valid = isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
    return value if isinstance(value, str) and is_valid else None


# The fields with each product's equivalent of a meeting's UUID. Some webinar deliveries have it in
# `meeting_uuid`. Products that cannot be connected are listed too, if necessary by their stream.
_UUID_FIELDS: dict[str, tuple[str, ...]] = {
    Product.MEETING: ("meeting_uuid",),
    Product.WEBINAR: ("webinar_uuid", "meeting_uuid"),
    Product.SESSION: ("session_id",),
    Product.CONTACT_CENTER: ("engagement_id", "rtms_stream_id"),
    Product.PHONE: ("call_id", "rtms_stream_id"),
}
_WITHOUT_SERVERS = (Product.CONTACT_CENTER, Product.PHONE)


def _started(fields: _Fields, product: Product) -> Started:
    if product in _WITHOUT_SERVERS:
        server_urls = fields.text("server_urls", longest=_MAX_SERVER_URLS) or ""
    else:
        server_urls = fields.required_text("server_urls", longest=_MAX_SERVER_URLS)
    return Started(
        product=product,
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        meeting_uuid=fields.required_text(*_UUID_FIELDS[product]),
        server_urls=server_urls,
        event_ts=fields.event_ts(),
        meeting_id=fields.text("meeting_id", "webinar_id"),
        account_id=fields.text("account_id"),
        operator_id=fields.text("operator_id"),
        is_original_host=fields.boolean("is_original_host"),
    )


def _stopped(fields: _Fields, product: Product) -> Stopped:
    return Stopped(
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        event_ts=fields.event_ts(),
        stop_reason=fields.integer("stop_reason"),
    )


def _interrupted(fields: _Fields, product: Product) -> Interrupted:
    return Interrupted(
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        event_ts=fields.event_ts(),
        rejoin=_rejoin(fields, product),
    )


def _rejoin(fields: _Fields, product: Product) -> Started | None:
    """Return the servers that an interruption names, which is rare. (Zoom's reference deployment
    reads `server_urls` from it, though the schema has no such field.)"""
    try:
        start = _started(fields, product)
    except MalformedEvent:
        return None
    return start if start.server_urls else None


def _meeting_started(fields: _Fields) -> MeetingStarted | Unknown:
    meeting_uuid = fields.text("uuid")
    if meeting_uuid is None:  # not rejected: nothing depends on this event
        return Unknown()
    return MeetingStarted(
        meeting_uuid=meeting_uuid,
        meeting_id=fields.text("id"),
        account_id=fields.text("account_id"),
        host_id=fields.text("host_id"),
        topic=fields.title("topic"),
    )


def _request_status(fields: _Fields) -> RequestStatus:
    return RequestStatus(
        rtms_stream_id=fields.anywhere("rtms_stream_id"),
        meeting_uuid=fields.anywhere("meeting_uuid", "webinar_uuid", "uuid"),
        meeting_id=fields.anywhere("meeting_id", "webinar_id") or fields.anywhere("id"),
    )


def _near_limit(fields: _Fields) -> ConcurrencyNearLimit:
    return ConcurrencyNearLimit(
        number=fields.integer("concurrency_number"),
        limit=fields.integer("concurrency_limit"),
        percentage=fields.integer("percentage"),
    )


def _limited(fields: _Fields) -> ConcurrencyLimited:
    named = (value for value in fields.object("id_field").values() if isinstance(value, str))
    return ConcurrencyLimited(
        number=fields.integer("concurrency_number"),
        operator_id=fields.text("operator_id"),
        meeting_uuid=next((value for value in named if value.isprintable()), None),
    )


_STREAM_EVENTS: dict[str, Callable[[_Fields, Product], Meaning]] = {
    "rtms_started": _started,
    "rtms_stopped": _stopped,
    "rtms_interrupted": _interrupted,
}
# These need no field: their payload is displayed in any form.
_NO_SCHEMA = ("meeting.started", "rtms.request_status")
_OTHER_EVENTS: dict[str, Callable[[_Fields], Meaning]] = {
    "meeting.started": _meeting_started,
    "rtms.request_status": _request_status,
    "rtms.concurrency_near_limit": _near_limit,
    "rtms.concurrency_limited": _limited,
}
# Every event that the server handles, by Zoom's name.
EVENT_NAMES = (
    *(
        f"{product}.{'voice_' * (product == Product.CONTACT_CENTER)}{verb}"
        for product in _UUID_FIELDS
        for verb in _STREAM_EVENTS
    ),
    *_OTHER_EVENTS,
)
