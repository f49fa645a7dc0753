"""Parse Zoom's events from decoded bodies, in either of the two shapes that Zoom sends.

A field that is needed to act on an event must be valid, or the event is rejected. An invalid field
that is only displayed is dropped. The event log keeps the whole body either way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from models import Product
from rtms.zoom import meanings
from rtms.zoom.fields import EventFields, MalformedEvent

MEETING_ENDED_EVENTS = ("meeting.ended", "webinar.ended")
_MAX_SERVER_URLS = 4096  # characters


def parse(body: dict[str, Any], sent_ts: int) -> meanings.Meaning:
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
        return _OTHER_EVENTS[name](EventFields(body, sent_ts))
    product, _, verb = name.partition(".")
    # Contact Center: voice_rtms_started.
    verb = verb.removeprefix("voice_") if product == Product.CONTACT_CENTER else verb
    if product in _UUID_FIELDS and verb in _STREAM_EVENTS:
        return _STREAM_EVENTS[verb](EventFields(body, sent_ts), Product(product))
    return meanings.Unknown()


def dedupe_key(body: dict[str, Any], meaning: meanings.Meaning | None) -> str:
    """Return a key that all deliveries of one event share. Several subscriptions of an app deliver
    the same event, and a redelivery repeats it exactly. The key starts with the time so that new
    keys are next to each other in the database's index."""
    if isinstance(meaning, meanings.StreamEvent) and (
        meaning.event_ts == body["event_ts"]  # a replaced one differs with every delivery
    ):
        return f"{meaning.event_ts}:{body['event']}:{meaning.rtms_stream_id}"
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


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


def _started(fields: EventFields, product: Product) -> meanings.Started:
    read = fields.text if product in _WITHOUT_SERVERS else fields.required_text
    return meanings.Started(
        product=product,
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        meeting_uuid=fields.required_text(*_UUID_FIELDS[product]),
        server_urls=read("server_urls", longest=_MAX_SERVER_URLS) or "",
        event_ts=fields.event_ts(),
        meeting_id=fields.text("meeting_id", "webinar_id"),
        account_id=fields.text("account_id"),
        operator_id=fields.text("operator_id"),
        is_original_host=fields.boolean("is_original_host"),
    )


def _stopped(fields: EventFields, product: Product) -> meanings.Stopped:
    return meanings.Stopped(
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        event_ts=fields.event_ts(),
        stop_reason=fields.integer("stop_reason"),
        meeting_uuid=fields.text(*_UUID_FIELDS[product]),
    )


def _interrupted(fields: EventFields, product: Product) -> meanings.Interrupted:
    return meanings.Interrupted(
        rtms_stream_id=fields.required_text("rtms_stream_id"),
        event_ts=fields.event_ts(),
        rejoin=_rejoin(fields, product),
    )


def _rejoin(fields: EventFields, product: Product) -> meanings.Started | None:
    """Return the servers that an interruption names, which is rare. (Zoom's reference deployment
    reads `server_urls` from it, though the schema has no such field.)"""
    try:
        start = _started(fields, product)
    except MalformedEvent:
        return None
    return start if start.server_urls else None


def _meeting_started(fields: EventFields) -> meanings.MeetingStarted | meanings.Unknown:
    meeting_uuid = fields.text("uuid")
    if meeting_uuid is None:  # not rejected: nothing depends on this event
        return meanings.Unknown()
    return meanings.MeetingStarted(
        meeting_uuid=meeting_uuid,
        meeting_id=fields.text("id"),
        account_id=fields.text("account_id"),
        host_id=fields.text("host_id"),
        topic=fields.title("topic"),
    )


def _meeting_ended(fields: EventFields) -> meanings.MeetingEnded | meanings.Unknown:
    meeting_uuid = fields.text("uuid")
    if meeting_uuid is None:
        return meanings.Unknown()
    return meanings.MeetingEnded(meeting_uuid=meeting_uuid, meeting_id=fields.text("id"))


def _request_status(fields: EventFields) -> meanings.RequestStatus:
    return meanings.RequestStatus(
        rtms_stream_id=fields.anywhere("rtms_stream_id"),
        meeting_uuid=fields.anywhere("meeting_uuid", "webinar_uuid", "uuid"),
        meeting_id=fields.anywhere("meeting_id", "webinar_id") or fields.anywhere("id"),
    )


def _deauthorized(fields: EventFields) -> meanings.Deauthorized:
    moment = fields.moment("deauthorization_time")
    allowed = fields.text("user_data_retention") == "true"
    return meanings.Deauthorized(
        user_id=fields.required_text("user_id"),
        account_id=fields.text("account_id"),
        deauthorized_ts=fields.event_ts() if moment is None else moment,
        keeps_data=allowed or fields.boolean("user_data_retention") is True,
    )


def _near_limit(fields: EventFields) -> meanings.ConcurrencyNearLimit:
    return meanings.ConcurrencyNearLimit(
        number=fields.integer("concurrency_number"),
        limit=fields.integer("concurrency_limit"),
        percentage=fields.integer("percentage"),
    )


def _limited(fields: EventFields) -> meanings.ConcurrencyLimited:
    named = (value for value in fields.object("id_field").values() if isinstance(value, str))
    return meanings.ConcurrencyLimited(
        number=fields.integer("concurrency_number"),
        operator_id=fields.text("operator_id"),
        meeting_uuid=next((value for value in named if value.isprintable()), None),
    )


_STREAM_EVENTS: dict[str, Callable[[EventFields, Product], meanings.Meaning]] = {
    "rtms_started": _started,
    "rtms_stopped": _stopped,
    "rtms_interrupted": _interrupted,
}
_OTHER_EVENTS: dict[str, Callable[[EventFields], meanings.Meaning]] = {
    "meeting.started": _meeting_started,
    **dict.fromkeys(MEETING_ENDED_EVENTS, _meeting_ended),
    "rtms.request_status": _request_status,
    "app_deauthorized": _deauthorized,
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
