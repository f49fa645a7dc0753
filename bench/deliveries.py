"""Zoom's deliveries as bytes, signed beforehand, so that sending one costs a client nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sandbox import Stream, events
from sandbox.demo import SECRETS
from sandbox.zoom import sign, stringify

PATH = "/zoom-webhook"


@dataclass(frozen=True)
class Signed:
    """One `meeting.rtms_started`, as a whole HTTP request."""

    stream_id: str
    raw: bytes


def started(at: float | None = None) -> Signed:
    """Make a start of a stream of its own that happens `at` (seconds since the epoch; now)."""
    stream = Stream()
    event_ts = None if at is None else int(at * 1000)
    return Signed(stream.rtms_stream_id, request(events.started(stream, event_ts=event_ts)))


def several(count: int) -> list[bytes]:
    """Make so many requests, all of them different, that happen now."""
    return [started().raw for _ in range(count)]


def request(body: events.Body) -> bytes:
    """Write a delivery as Zoom sends it."""
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
