"""Zoom's deliveries as bytes, signed in advance, so that sending one costs the client no CPU."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sandbox import Stream, events
from sandbox.demo import SECRETS
from sandbox.zoom import sign, stringify

PATH = "/zoom-webhook"


@dataclass(frozen=True)
class Signed:
    """A `meeting.rtms_started` as a complete HTTP request."""

    stream_id: str
    raw: bytes


def started(at: float | None = None) -> Signed:
    """Create the start of a new stream at a time (seconds since the epoch; by default now)."""
    stream = Stream()
    event_ts = None if at is None else int(at * 1000)
    return Signed(stream.rtms_stream_id, request(events.started(stream, event_ts=event_ts)))


def several(count: int) -> list[bytes]:
    """Create this many different requests that happen now."""
    return [started().raw for _ in range(count)]


def request(body: events.Body) -> bytes:
    """Return a delivery as an HTTP request, as Zoom sends it."""
    content = stringify(body)
    timestamp = int(time.time())
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"x-zm-request-timestamp: {timestamp}\r\n"
        f"x-zm-signature: {sign(SECRETS['ZOOM_SECRET_TOKEN'], timestamp, content)}\r\n"
        "x-zm-trackingid: v=2.0;clid=us04;rid=WEB_0123456789abcdef\r\n"
        "User-Agent: Zoom Marketplace/1.0a\r\n"
        "Accept: */*\r\n\r\n"
    )
    return head.encode() + content
