"""The events that Zoom sends about RTMS, as plain dicts (Zoom: RTMS events).

Every builder takes a ``Stream`` and returns the whole body. ``nested=True`` gives the other shape
of Zoom's guides: the fields are under ``payload.object``, next to ``account_id``.
"""

import base64
import itertools
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Product = Literal["meeting", "webinar", "session"]
Body = dict[str, Any]

_lock = threading.Lock()
_last_event_ts = 0


def now_ms() -> int:
    """Return milliseconds since the epoch, later than every value returned before."""
    global _last_event_ts
    with _lock:
        _last_event_ts = max(_last_event_ts + 1, int(time.time() * 1000))
        return _last_event_ts


def new_uuid() -> str:
    """Return a meeting's UUID: 16 bytes in base64, which may contain "/", "+" and "="."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def new_operator_id() -> str:
    """Return a user's id in Zoom's format."""
    return secrets.token_urlsafe(16)


def new_server_urls() -> str:
    """Return the address of an RTMS server whose name cannot be resolved."""
    return f"wss://rtms-{secrets.token_hex(3)}.zoom.example:443"


_numbers: Iterator[int] = itertools.count(80_000_000_000 + secrets.randbelow(9_000_000_000))


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An RTMS stream of a meeting, webinar or Video SDK session, with random ids."""

    product: Product = "meeting"
    meeting_uuid: str = field(default_factory=new_uuid)  # or the webinar's UUID, or session_id
    rtms_stream_id: str = field(default_factory=lambda: secrets.token_hex(16))
    operator_id: str = field(default_factory=new_operator_id)
    server_urls: str = field(default_factory=new_server_urls)  # comma-separated
    meeting_id: int | str | None = field(default_factory=lambda: next(_numbers))
    is_original_host: bool | None = None  # None: the delivery does not say
    session_key: str = "ABC36jaBI145"  # of a Video SDK session
    account_id: str = "sandboxAccountAAAAAAAA"  # of the nested shape
    topic: str = "Weekly sync"  # the meeting's title
    host_id: str = "sandboxHostAAAAAAAAAAA"

    def beside(self, **changes: Any) -> "Stream":
        """Return another user's stream of the same meeting (Zoom: auto-start)."""
        fresh = {"rtms_stream_id": secrets.token_hex(16), "operator_id": new_operator_id()}
        return replace(self, **(fresh | {"server_urls": new_server_urls()} | changes))

    def moved(self) -> "Stream":
        """Return the same stream on another RTMS server."""
        return replace(self, server_urls=new_server_urls())

    def ids(self) -> Body:
        """Return the fields that identify the stream, with the names of its product."""
        stream = {"rtms_stream_id": self.rtms_stream_id}
        if self.product == "session":
            return {"session_id": self.meeting_uuid, "session_key": self.session_key} | stream
        return {f"{self.product}_uuid": self.meeting_uuid} | stream


def _body(event: str, fields: Body, stream: Stream, event_ts: int | None, nested: bool) -> Body:
    payload = {"account_id": stream.account_id, "object": fields} if nested else fields
    return {
        "event": event,
        "event_ts": now_ms() if event_ts is None else event_ts,
        "payload": payload,
    }


def meeting_started(stream: Stream, *, event_ts: int | None = None) -> Body:
    """Build ``meeting.started``, an event of Zoom's that has the meeting's topic."""
    return _meeting("started", stream, event_ts)


def meeting_ended(stream: Stream, *, event_ts: int | None = None) -> Body:
    """Build ``meeting.ended``."""
    return _meeting("ended", stream, event_ts)


def _meeting(what: str, stream: Stream, event_ts: int | None) -> Body:
    fields = {
        "uuid": stream.meeting_uuid,
        "id": str(stream.meeting_id),
        "host_id": stream.host_id,
        "topic": stream.topic,
        "start_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "timezone": "UTC",
        "duration": 60,  # minutes, as planned
        "type": 2,  # a scheduled meeting
    }
    return _body(f"meeting.{what}", fields, stream, event_ts, nested=True)


def started(stream: Stream, *, event_ts: int | None = None, nested: bool = False) -> Body:
    """Build ``<product>.rtms_started``."""
    fields = stream.ids()
    if stream.product != "session":
        fields["operator_id"] = stream.operator_id
        if stream.meeting_id is not None:
            fields["meeting_id"] = stream.meeting_id
        if stream.is_original_host is not None:
            fields["is_original_host"] = stream.is_original_host
    fields["server_urls"] = stream.server_urls
    return _body(f"{stream.product}.rtms_started", fields, stream, event_ts, nested)


def stopped(
    stream: Stream, reason: int = 6, *, event_ts: int | None = None, nested: bool = False
) -> Body:
    """Build ``<product>.rtms_stopped``. Reason 6 means that the meeting ended."""
    fields = stream.ids() | {"stop_reason": reason}
    return _body(f"{stream.product}.rtms_stopped", fields, stream, event_ts, nested)


def interrupted(
    stream: Stream,
    *,
    server_urls: str | None = None,
    event_ts: int | None = None,
    nested: bool = False,
) -> Body:
    """Build ``<product>.rtms_interrupted``, which may have new server_urls."""
    fields = stream.ids() | ({"server_urls": server_urls} if server_urls else {})
    return _body(f"{stream.product}.rtms_interrupted", fields, stream, event_ts, nested)


def failover(stream: Stream, *, event_ts: int | None = None, nested: bool = False) -> Body:
    """Build the ``rtms_started`` that follows a failover: new server_urls, later event_ts."""
    return started(stream.moved(), event_ts=event_ts, nested=nested)


def webinar_started(
    stream: Stream,
    *,
    uuid_field: Literal["webinar_uuid", "meeting_uuid"] = "webinar_uuid",
    event_ts: int | None = None,
    nested: bool = False,
) -> Body:
    """Build ``webinar.rtms_started``. In some deliveries its UUID is ``meeting_uuid``."""
    body = started(replace(stream, product="webinar"), event_ts=event_ts, nested=nested)
    fields = body["payload"]["object"] if nested else body["payload"]
    renamed = {uuid_field if name == "webinar_uuid" else name: fields[name] for name in fields}
    fields.clear()
    fields.update(renamed)
    return body


def webinar_stopped(stream: Stream, reason: int = 6, **options: Any) -> Body:
    """Build ``webinar.rtms_stopped``."""
    return stopped(replace(stream, product="webinar"), reason, **options)


def webinar_interrupted(stream: Stream, **options: Any) -> Body:
    """Build ``webinar.rtms_interrupted``."""
    return interrupted(replace(stream, product="webinar"), **options)


def session_started(stream: Stream, **options: Any) -> Body:
    """Build ``session.rtms_started`` of the Video SDK."""
    return started(replace(stream, product="session"), **options)


def session_stopped(stream: Stream, reason: int = 6, **options: Any) -> Body:
    """Build ``session.rtms_stopped`` of the Video SDK."""
    return stopped(replace(stream, product="session"), reason, **options)


def session_interrupted(stream: Stream, **options: Any) -> Body:
    """Build ``session.rtms_interrupted`` of the Video SDK."""
    return interrupted(replace(stream, product="session"), **options)


def concurrency_near_limit(
    number: int = 1601, limit: int = 2000, *, event_ts: int | None = None, nested: bool = False
) -> Body:
    """Build ``rtms.concurrency_near_limit``, which is sent repeatedly above 80 %."""
    fields = {
        "concurrency_limit": limit,
        "concurrency_number": number,
        "percentage": number * 100 // limit,
    }
    return _body("rtms.concurrency_near_limit", fields, Stream(), event_ts, nested)


def concurrency_limited(
    stream: Stream, number: int = 2001, *, event_ts: int | None = None, nested: bool = False
) -> Body:
    """Build ``rtms.concurrency_limited``: this stream was not started."""
    name = "session_id" if stream.product == "session" else f"{stream.product}_uuid"
    fields = {
        "operator_id": stream.operator_id,
        "concurrency_number": number,
        "id_field": {name: stream.meeting_uuid},
    }
    return _body("rtms.concurrency_limited", fields, stream, event_ts, nested)
