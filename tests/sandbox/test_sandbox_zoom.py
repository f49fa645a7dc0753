"""The stand-in Zoom signs, repeats and shapes deliveries as Zoom does."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox import Stream, ZoomSandbox, events
from sandbox.zoom import sign, stringify

SECRET = "zoom secret token"


class Endpoint:
    """Takes deliveries, and answers as ``reply`` says."""

    def __init__(self) -> None:
        """Listen."""
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.reply: Callable[[int, bytes], tuple[int, bytes]] = lambda number, body: (200, b"")
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                endpoint.received.append((headers, body))
                status, answer = endpoint.reply(len(endpoint.received), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/zoom-webhook"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server under test that is not the project's."""
    endpoint = Endpoint()
    serving = {"poll_interval": 0.01}
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs=serving)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


@pytest.fixture
def zoom(endpoint: Endpoint) -> Iterator[ZoomSandbox]:
    """The stand-in; generous with time, for the machine may be busy."""
    with ZoomSandbox(endpoint.url, SECRET, timeout=30) as zoom:
        yield zoom


def test_the_signature_is_the_one_that_openssl_computes() -> None:
    # printf %s 'v0:1700000000:{"event":"x"}' | openssl dgst -sha256 -hmac 'zoom secret token'
    known = "970db83426bf11bfc69ebdf70922a417c6130c2c5491ac6de356894fbfd2ac1e"
    assert sign(SECRET, 1700000000, b'{"event":"x"}') == "v0=" + known


def test_json_is_written_as_javascript_writes_it() -> None:
    assert stringify({"a": "é👋\n", "b": [1, True, None]}) == (
        '{"a":"é👋\\n","b":[1,true,null]}'.encode()
    )
    assert stringify("\ud83d") == b'"\\ud83d"'


def test_a_delivery_carries_what_zoom_sends(endpoint: Endpoint, zoom: ZoomSandbox) -> None:
    delivery = zoom.deliver(events.started(Stream(meeting_uuid="/é+==")))
    assert delivery.ok
    headers, body = endpoint.received[0]
    message = b"v0:" + headers["x-zm-request-timestamp"].encode() + b":" + body
    expected = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert headers["x-zm-signature"] == "v0=" + expected
    assert headers["x-zm-trackingid"]


def test_parts_of_a_delivery_can_be_forged(endpoint: Endpoint, zoom: ZoomSandbox) -> None:
    zoom.deliver(raw=b"not JSON", timestamp=1, signature="v0=0", headers={"x-zm-trackingid": None})
    headers, body = endpoint.received[0]
    assert body == b"not JSON"
    assert (headers["x-zm-request-timestamp"], headers["x-zm-signature"]) == ("1", "v0=0")
    assert "x-zm-trackingid" not in headers


def test_validation_checks_the_answer(endpoint: Endpoint, zoom: ZoomSandbox) -> None:
    def answer(secret: str) -> Callable[[int, bytes], tuple[int, bytes]]:
        def reply(number: int, body: bytes) -> tuple[int, bytes]:
            plain = json.loads(body)["payload"]["plainToken"]
            hashed = hmac.new(secret.encode(), plain.encode(), hashlib.sha256).hexdigest()
            return 200, json.dumps({"plainToken": plain, "encryptedToken": hashed}).encode()

        return reply

    endpoint.reply = answer(SECRET)
    assert zoom.validate().ok and zoom.validate(signed=True).ok
    assert "x-zm-signature" not in endpoint.received[0][0]
    assert "x-zm-signature" in endpoint.received[1][0]
    endpoint.reply = answer("another")
    assert "encryptedToken" in zoom.validate().reason
    endpoint.reply = lambda number, body: (500, b"")
    assert zoom.validate().reason == "answered 500, not 200"


def test_a_delivery_is_repeated_until_it_is_taken(endpoint: Endpoint, zoom: ZoomSandbox) -> None:
    endpoint.reply = lambda number, body: (204 if number == 3 else 500, b"")
    attempts = zoom.deliver_with_retries(events.started(Stream()), scale=0)
    assert [each.status for each in attempts] == [500, 500, 204]
    assert len({body for _, body in endpoint.received}) == 1
    endpoint.reply = lambda number, body: (302, b"")
    assert len(zoom.deliver_with_retries(events.started(Stream()), scale=0)) == 4


def test_copies_arrive_on_connections_of_their_own(endpoint: Endpoint, zoom: ZoomSandbox) -> None:
    deliveries = zoom.deliver_at_once(events.started(Stream()), copies=8)
    assert [each.status for each in deliveries] == [200] * 8
    assert len(endpoint.received) == 8
    assert len({body for _, body in endpoint.received}) == 1


def test_nobody_home_is_a_failed_delivery(zoom: ZoomSandbox) -> None:
    zoom.endpoint = "http://127.0.0.1:9/"
    assert not zoom.deliver({}).ok
    assert [each.status for each in zoom.deliver_at_once({}, copies=2)] == [None, None]


def test_events_have_the_documented_fields() -> None:
    stream = Stream(meeting_id=None)
    flat, nested = events.started(stream), events.started(stream, nested=True)
    fields = {"meeting_uuid", "operator_id", "rtms_stream_id", "server_urls"}
    assert flat["event"] == "meeting.rtms_started" and set(flat["payload"]) == fields
    assert nested["payload"]["object"] == flat["payload"]
    assert nested["payload"]["account_id"]
    assert nested["event_ts"] > flat["event_ts"]
    assert events.stopped(stream)["payload"]["stop_reason"] == 6
    moved = events.failover(stream)
    assert moved["payload"]["rtms_stream_id"] == stream.rtms_stream_id
    assert moved["payload"]["server_urls"] != stream.server_urls
    assert moved["event_ts"] > nested["event_ts"]
    assert set(events.session_started(stream)["payload"]) == {
        "session_id",
        "session_key",
        "rtms_stream_id",
        "server_urls",
    }
    webinar = events.webinar_started(stream, uuid_field="meeting_uuid", nested=True)
    assert webinar["event"] == "webinar.rtms_started"
    assert webinar["payload"]["object"]["meeting_uuid"] == stream.meeting_uuid
    limited = events.concurrency_limited(stream)["payload"]
    assert limited["id_field"] == {"meeting_uuid": stream.meeting_uuid}
    assert events.concurrency_near_limit()["payload"]["percentage"] == 80


def test_a_meetings_start_says_what_it_is_called() -> None:
    stream = Stream(meeting_id=81234567890, topic="Budget 2027", host_id="host-1")
    body = events.meeting_started(stream)
    assert body["event"] == "meeting.started"
    assert body["payload"]["account_id"] == stream.account_id
    meeting = body["payload"]["object"]
    assert (meeting["uuid"], meeting["id"]) == (stream.meeting_uuid, "81234567890")
    assert (meeting["topic"], meeting["host_id"]) == ("Budget 2027", "host-1")
    assert events.meeting_ended(stream)["event"] == "meeting.ended"
