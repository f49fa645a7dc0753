"""POST /zoom-webhook, through the front door: who gets in, and what each gets told."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtms.services import Services
from sandbox import Stream, events
from sandbox.zoom import sign
from tests.conftest import ENVIRON, load
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom

START = events.started(Stream())


def test_a_start_is_recorded_and_to_be_connected(zoom: Zoom, rows: Rows) -> None:
    body = load("meeting.rtms_started__as_published")
    answer = zoom.deliver(body)
    assert (answer.status_code, answer.json) == (
        200,
        {"outcome": "accepted", "detail": "to be connected"},
    )
    row = rows.meeting()
    assert row.state == "pending"
    assert row.rtms_stream_id == body["payload"]["rtms_stream_id"]
    assert row.meeting_uuid == body["payload"]["meeting_uuid"]
    assert row.operator_id == body["payload"]["operator_id"]
    assert row.server_urls == body["payload"]["server_urls"]
    assert (row.product, row.event_ts, row.tracking_id) == ("meeting", 1626230691572, "tracking-1")
    (event,) = rows.events()
    assert (event.event, event.payload) == ("meeting.rtms_started", body)
    assert event.outcome == "accepted: to be connected"


@pytest.mark.parametrize("product", ["meeting", "webinar"])
@pytest.mark.parametrize("nested", [False, True])
def test_both_products_and_both_shapes_mean_the_same(
    zoom: Zoom, rows: Rows, product: Any, nested: bool
) -> None:
    stream = Stream(product=product, is_original_host=True)
    assert zoom.deliver(events.started(stream, nested=nested)).status_code == 200
    row = rows.meeting()
    assert (row.product, row.meeting_uuid) == (product, stream.meeting_uuid)
    assert (row.meeting_id, row.is_original_host) == (str(stream.meeting_id), True)


def test_an_unknown_event_is_accepted_and_recorded(zoom: Zoom, rows: Rows) -> None:
    body = {"event": "meeting.rtms_applauded", "event_ts": 1, "payload": {"object": {"n": None}}}
    answer = zoom.deliver(body)
    assert (answer.status_code, answer.json and answer.json["outcome"]) == (200, "unknown")
    assert [event.payload for event in rows.events()] == [body]
    assert rows.meetings() == []


NOT_AN_EVENT = {
    "nothing": b"",
    "not JSON": b"meeting started",
    "cut off": json.dumps(START).encode()[:-1],
    "not UTF-8": b'{"event": "\xff"}',
    "NaN": b'{"event": "x", "payload": NaN}',
    "a list": b"[]",
    "a number": b"7",
    "no event": b'{"payload": {}}',
    "an event that is a number": b'{"event": 7}',
    "an empty event": b'{"event": ""}',
    "an event with a line break": b'{"event": "a\\nb"}',
    "deeply nested": b'{"event": "x", "payload": ' + b"[" * 200 + b"]" * 200 + b"}",
    "nested beyond the parser": b"[" * 100_000,
    "a number of 5,000 digits": b'{"event": "x", "payload": ' + b"9" * 5000 + b"}",
}


@on_one_engine
@pytest.mark.parametrize("raw", NOT_AN_EVENT.values(), ids=NOT_AN_EVENT.keys())
def test_what_is_no_event_gets_400_and_leaves_nothing(zoom: Zoom, rows: Rows, raw: bytes) -> None:
    answer = zoom.deliver(raw=raw)
    assert answer.status_code == 400
    assert answer.json and answer.json["error"].endswith((".", "string."))
    assert rows.events() == []


def _changed(**fields: Any) -> dict[str, Any]:
    payload = {**START["payload"], **fields}
    return {**START, "payload": {k: v for k, v in payload.items() if v is not ...}}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no payload": ({"event": "meeting.rtms_started", "event_ts": 1}, "payload"),
    "a payload that is a list": ({**START, "payload": []}, "payload"),
    "no stream": (_changed(rtms_stream_id=...), "rtms_stream_id"),
    "a stream that is a number": (_changed(rtms_stream_id=7), "rtms_stream_id"),
    "a stream with NUL": (_changed(rtms_stream_id="a\x00b"), "rtms_stream_id"),
    "a stream with a lone surrogate": (_changed(rtms_stream_id="a\ud800"), "rtms_stream_id"),
    "a stream of 10,000 characters": (_changed(rtms_stream_id="a" * 10_000), "rtms_stream_id"),
    "an empty meeting": (_changed(meeting_uuid=""), "meeting_uuid"),
    "a meeting that is an object": (_changed(meeting_uuid={}), "meeting_uuid"),
    "no server": (_changed(server_urls=None), "server_urls"),
    "servers in a list": (_changed(server_urls=["wss://a"]), "server_urls"),
    "no event_ts": ({k: v for k, v in START.items() if k != "event_ts"}, "event_ts"),
    "an event_ts that is text": ({**START, "event_ts": "now"}, "event_ts"),
    "an event_ts that is true": ({**START, "event_ts": True}, "event_ts"),
}


@pytest.mark.parametrize(("body", "field"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_signed_but_malformed_event_gets_400_and_is_stored_as_rejected(
    zoom: Zoom, rows: Rows, body: dict[str, Any], field: str
) -> None:
    answer = zoom.deliver(body)
    assert answer.status_code == 400
    assert answer.json and f"`{field}`" in answer.json["error"]
    assert rows.meetings() == []
    (event,) = rows.events()
    assert event.outcome == f"rejected: {answer.json['error']}"
    assert event.payload == body
    assert zoom.deliver(body).status_code == 400
    assert len(rows.events()) == 1


def test_an_odd_field_that_is_only_shown_costs_no_meeting(zoom: Zoom, rows: Rows) -> None:
    odd = _changed(operator_id=["x"], meeting_id={"a": 1}, is_original_host="yes")
    assert zoom.deliver(odd).status_code == 200
    row = rows.meeting()
    assert (row.state, row.operator_id, row.meeting_id, row.is_original_host) == (
        "pending",
        None,
        None,
        None,
    )


FORGED: dict[str, dict[str, Any]] = {
    "another token": {"token": "another"},
    "too old": {"age": 301},
    "from the future": {"age": -302},
    "no signature": {"headers": {"x-zm-signature": ""}},
    "no timestamp": {"headers": {"x-zm-request-timestamp": ""}},
    "a timestamp in words": {"headers": {"x-zm-request-timestamp": "now"}},
    "another timestamp": {"headers": {"x-zm-request-timestamp": str(int(time.time()) - 7)}},
    "too short": {"headers": {"x-zm-signature": "v0=ab"}},
    "without its version": {"headers": {"x-zm-signature": "0" * 64}},
    "not ASCII": {"headers": {"x-zm-signature": "v0=é"}},
}


@on_one_engine
@pytest.mark.parametrize("how", FORGED.values(), ids=FORGED.keys())
def test_who_is_not_zoom_gets_401_and_leaves_nothing(
    zoom: Zoom, rows: Rows, how: dict[str, Any]
) -> None:
    answer = zoom.deliver(START, **how)
    assert answer.status_code == 401
    assert answer.json and ENVIRON["ZOOM_SECRET_TOKEN"] not in answer.text
    assert rows.events() == []


def test_a_signature_for_another_body_does_not_do(zoom: Zoom, app: Flask, rows: Rows) -> None:
    timestamp = str(int(time.time()))
    headers = {
        "x-zm-request-timestamp": timestamp,
        "x-zm-signature": sign(zoom.secret_token, timestamp, json.dumps(START).encode()),
    }
    other = json.dumps(events.started(Stream()))
    assert app.test_client().post("/zoom-webhook", data=other, headers=headers).status_code == 401
    assert rows.events() == []


def test_a_delivery_that_zoom_signed_in_its_canonical_form_gets_in(zoom: Zoom, rows: Rows) -> None:
    canonical = json.dumps(_changed(topic="🎉 café"), separators=(",", ":"), ensure_ascii=False)
    timestamp = str(int(time.time()))
    headers = {
        "x-zm-request-timestamp": timestamp,
        "x-zm-signature": sign(zoom.secret_token, timestamp, canonical.encode()),
    }
    escaped = json.dumps(json.loads(canonical)).encode()
    assert escaped != canonical.encode()
    assert zoom.deliver(raw=escaped, headers=headers).status_code == 200
    assert rows.meeting().state == "pending"


@pytest.mark.environ(ZOOM_SECRET_TOKEN="new-token, old-token")
@pytest.mark.parametrize("token", ["new-token", "old-token"])
def test_while_a_token_is_rotated_both_are_good(zoom: Zoom, rows: Rows, token: str) -> None:
    assert zoom.deliver(START, token=token).status_code == 200
    challenge = {"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}
    signed = zoom.deliver(challenge, token=token)
    assert signed.json and signed.json["encryptedToken"] == _hmac(token, "abc")
    unsigned = zoom.app.test_client().post("/zoom-webhook", json=challenge)
    assert unsigned.json and unsigned.json["encryptedToken"] == _hmac("new-token", "abc")


def _hmac(token: str, text: str) -> str:
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_no_challenge_signs_a_forged_delivery(zoom: Zoom, app: Flask, rows: Rows) -> None:
    """The oracle: ask for the HMAC of `v0:<ts>:<body>`, and use it as that body's signature."""
    forged, timestamp = json.dumps(START), str(int(time.time()))
    client = app.test_client()
    for plain in (f"v0:{timestamp}:{forged}", f"v0:{timestamp}:", "v0:", f"{timestamp}:{forged}"):
        challenge = {"event": "endpoint.url_validation", "payload": {"plainToken": plain}}
        for answer in (client.post("/zoom-webhook", json=challenge), zoom.deliver(challenge)):
            assert answer.status_code == 400
            assert "encryptedToken" not in answer.text
    assert rows.events() == []


@on_one_engine
@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"plainToken": None}, {"plainToken": ""}, {"plainToken": 7}]
    + [{"plainToken": text} for text in ("a:b", "a" * 257, "é", "a\nb", "a\x00b", "\ud800")],
)
def test_a_challenge_that_zoom_would_not_send_is_not_answered(app: Flask, payload: Any) -> None:
    answer = app.test_client().post(
        "/zoom-webhook",
        data=json.dumps({"event": "endpoint.url_validation", "payload": payload}),
    )
    assert answer.status_code == 400
    assert answer.json and set(answer.json) == {"error"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-zm-signature": "v0=" + "0" * 64, "x-zm-request-timestamp": str(int(time.time()))},
        {"x-zm-signature": "v0=" + "0" * 64},
        {"x-zm-request-timestamp": str(int(time.time()))},
    ],
)
def test_a_challenge_that_carries_signature_headers_must_pass_them(
    app: Flask, headers: dict[str, str]
) -> None:
    challenge = {"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}
    answer = app.test_client().post("/zoom-webhook", json=challenge, headers=headers)
    assert answer.status_code == 401


def test_a_body_that_is_too_large_gets_413(zoom: Zoom, rows: Rows) -> None:
    answer = zoom.deliver(raw=b" " * 1024 * 1024)
    assert answer.status_code == 413
    assert answer.json and answer.json["error"]
    assert rows.events() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_gets_405_in_json(app: Flask, method: str) -> None:
    answer = app.test_client().open("/zoom-webhook", method=method)
    assert answer.status_code == 405
    assert answer.json and answer.json["error"]
    assert "POST" in answer.headers["Allow"]


def test_an_unknown_route_gets_404_in_json(app: Flask) -> None:
    answer = app.test_client().get("/nothing-here")
    assert (answer.status_code, answer.json is not None) == (404, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["rtms_stream_id", "meeting_uuid", "server_urls", "object", "stop_reason", "id_field", "x"]
)
EVENT_NAMES = st.sampled_from(
    [
        "meeting.rtms_started",
        "webinar.rtms_stopped",
        "session.rtms_interrupted",
        "rtms.concurrency_limited",
        "endpoint.url_validation",
        "meeting.ended",
    ]
)
BODIES = st.fixed_dictionaries(
    {"event": EVENT_NAMES | JSON},
    optional={"event_ts": JSON, "payload": st.dictionaries(FIELDS, JSON | st.text()) | JSON},
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES)
def test_no_signed_body_gives_a_5xx(zoom: Zoom, body: Any) -> None:
    raw = json.dumps(body).encode()
    assert zoom.deliver(raw=raw).status_code in (200, 400)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    raw=st.binary(max_size=200),
    timestamp=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    signature=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=80),
)
def test_no_bytes_and_no_headers_give_a_5xx_or_get_in(
    app: Flask, services: Services, raw: bytes, timestamp: str, signature: str
) -> None:
    headers = {"x-zm-request-timestamp": timestamp, "x-zm-signature": signature}
    answer = app.test_client().post("/zoom-webhook", data=raw, headers=headers)
    assert answer.status_code in (400, 401)
