"""Zoom's events: every file of the catalogue, and what it means or why it is rejected."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import Product
from rtms.payload import BadBody, BadSignature, decode_body
from rtms.zoom.events import dedupe_key, parse
from rtms.zoom.fields import MalformedEvent
from rtms.zoom.meanings import (
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    Deauthorized,
    Interrupted,
    Meaning,
    MeetingStarted,
    RequestStatus,
    Started,
    Stopped,
    Unknown,
)
from rtms.zoom.signature import BadChallenge, answer_challenge, verify
from rtms.zoom.stop_reasons import is_fault, stop_reason_text
from tests.conftest import FIXTURES, load

STREAM = "609340fb2a7946909659956c8aa9250c"
UUID = "4444AAAiAAAAAiAiAiiAii=="
SESSION = "4567UVWxYZABCdEfGhiJkl=="
OPERATOR = "30R7kT7bTIKSNUFEuH_Qlg"
ACCOUNT = "AAAAAABBBB"
EVENT_TS = 1626230691572
SENT_TS = EVENT_TS + 700


def started(**differently: Any) -> Started:
    """A meeting's start as Zoom publishes it, but for what is named."""
    usual: dict[str, Any] = {
        "product": Product.MEETING,
        "rtms_stream_id": STREAM,
        "meeting_uuid": UUID,
        "server_urls": "wss://127.0.0.1:443",
        "event_ts": EVENT_TS,
        "meeting_id": None,
        "account_id": None,
        "operator_id": OPERATOR,
        "is_original_host": None,
    }
    return Started(**{**usual, **differently})


def stopped(stop_reason: int | None, meeting_uuid: str = UUID) -> Stopped:
    return Stopped(
        rtms_stream_id=STREAM,
        event_ts=EVENT_TS,
        stop_reason=stop_reason,
        meeting_uuid=meeting_uuid,
    )


INTERRUPTED = Interrupted(rtms_stream_id=STREAM, event_ts=EVENT_TS, rejoin=None)


def deauthorized(**differently: Any) -> Deauthorized:
    """A deauthorization as Zoom publishes it, but for what is named."""
    usual: dict[str, Any] = {
        "user_id": OPERATOR,
        "account_id": ACCOUNT,
        "deauthorized_ts": 1626230690000,
        "keeps_data": False,
    }
    return Deauthorized(**{**usual, **differently})


MEANINGS: dict[str, Meaning] = {
    "app_deauthorized__as_published": deauthorized(),
    "app_deauthorized__retention_allowed": deauthorized(keeps_data=True),
    "app_deauthorized__unreadable_time": deauthorized(deauthorized_ts=EVENT_TS),
    "endpoint.url_validation__as_published": Unknown(),
    "meeting.rtms_started__as_published": started(),
    "meeting.rtms_started__nested_in_object": started(account_id=ACCOUNT),
    "meeting.rtms_started__since_may_2026": started(
        account_id=ACCOUNT, meeting_id="85746065432", is_original_host=True
    ),
    # What cannot be a moment in milliseconds: the moment of sending stands in for it.
    "meeting.rtms_started__event_ts_in_seconds": started(event_ts=SENT_TS),
    "meeting.rtms_started__event_ts_in_microseconds": started(event_ts=SENT_TS),
    "meeting.rtms_started__event_ts_one": started(event_ts=SENT_TS),
    "meeting.rtms_started__event_ts_zero": started(event_ts=SENT_TS),
    "meeting.rtms_started__event_ts_negative": started(event_ts=SENT_TS),
    "meeting.rtms_started__event_ts_beyond_time": started(event_ts=SENT_TS),
    "meeting.rtms_stopped__event_ts_in_seconds": Stopped(
        rtms_stream_id=STREAM, event_ts=SENT_TS, stop_reason=6, meeting_uuid=UUID
    ),
    "meeting.rtms_started__meeting_id_int": started(
        meeting_id="85746065432", is_original_host=True
    ),
    "meeting.rtms_started__meeting_id_string": started(
        meeting_id="85746065432", is_original_host=False
    ),
    "meeting.rtms_started__several_server_urls": started(
        server_urls="wss://127.0.0.1:443,wss://127.0.0.2:443"
    ),
    "meeting.rtms_started__uuid_with_slashes": started(meeting_uuid="/ab+c/DEF//ghi+jkl/mnop=="),
    "meeting.rtms_started__emoji_in_topic": started(),
    # What is only shown is dropped where it is unsound; the stream is connected all the same.
    "meeting.rtms_started__unsound_extras": started(operator_id=None),
    "meeting.rtms_stopped__as_published": stopped(1),
    "meeting.rtms_stopped__nested_in_object": stopped(6),
    "meeting.rtms_stopped__unknown_reason": stopped(99),
    "meeting.rtms_stopped__no_reason": stopped(None),
    "meeting.rtms_interrupted__as_published": INTERRUPTED,
    "meeting.rtms_interrupted__nested_in_object": INTERRUPTED,
    "meeting.rtms_interrupted__unsound_server_urls": INTERRUPTED,
    "meeting.rtms_interrupted__fresh_server_urls": Interrupted(
        rtms_stream_id=STREAM,
        event_ts=EVENT_TS,
        rejoin=started(server_urls="wss://127.0.0.2:443", operator_id=None),
    ),
    "webinar.rtms_started__as_published": started(product=Product.WEBINAR),
    "webinar.rtms_started__named_meeting_uuid": started(product=Product.WEBINAR),
    "webinar.rtms_started__nested_in_object": started(product=Product.WEBINAR, account_id=ACCOUNT),
    "webinar.rtms_started__webinar_id": started(
        product=Product.WEBINAR, account_id=ACCOUNT, meeting_id="85746065432"
    ),
    "webinar.rtms_stopped__as_published": stopped(1),
    "webinar.rtms_stopped__named_meeting_uuid": stopped(6),
    "webinar.rtms_interrupted__as_published": INTERRUPTED,
    "session.rtms_started__as_published": started(
        product=Product.SESSION, meeting_uuid=SESSION, operator_id=None
    ),
    "session.rtms_stopped__as_published": stopped(1, SESSION),
    "session.rtms_interrupted__as_published": INTERRUPTED,
    "rtms.concurrency_near_limit__as_published": ConcurrencyNearLimit(
        number=1601, limit=2000, percentage=80
    ),
    "rtms.concurrency_limited__as_published": ConcurrencyLimited(
        number=2001, operator_id=OPERATOR, meeting_uuid=UUID
    ),
    "rtms.concurrency_limited__webinar": ConcurrencyLimited(
        number=2001, operator_id=OPERATOR, meeting_uuid=UUID
    ),
    "rtms.concurrency_limited__session": ConcurrencyLimited(
        number=2001, operator_id=OPERATOR, meeting_uuid=SESSION
    ),
    "contact_center.voice_rtms_started__as_published": started(
        product=Product.CONTACT_CENTER, meeting_uuid="eng-1", operator_id=None
    ),
    "contact_center.voice_rtms_stopped__as_published": stopped(21, "eng-1"),
    "contact_center.voice_rtms_interrupted__as_published": INTERRUPTED,
    "phone.rtms_started__as_in_samples": started(
        product=Product.PHONE, meeting_uuid="call-1", operator_id=None, server_urls=""
    ),
    "phone.rtms_started__without_call_id": started(
        product=Product.PHONE, meeting_uuid=STREAM, operator_id=None, server_urls=""
    ),
    "phone.rtms_stopped__as_in_samples": stopped(6, "call-1"),
    "rtms.request_status__naming_a_meeting": RequestStatus(
        rtms_stream_id=None, meeting_uuid=UUID, meeting_id="85746065432"
    ),
    "rtms.request_status__naming_a_stream_deep_down": RequestStatus(
        rtms_stream_id=STREAM, meeting_uuid=None, meeting_id=None
    ),
    "rtms.request_status__naming_nothing": RequestStatus(
        rtms_stream_id=None, meeting_uuid=None, meeting_id=None
    ),
    "meeting.started__as_published": MeetingStarted(
        meeting_uuid=UUID,
        meeting_id="85746065432",
        account_id=ACCOUNT,
        host_id=OPERATOR,
        topic="Weekly sync 🎉",
    ),
    "meeting.started__without_topic": MeetingStarted(
        meeting_uuid=UUID,
        meeting_id="85746065432",
        account_id=ACCOUNT,
        host_id=OPERATOR,
        topic=None,
    ),
    "meeting.started__missing_uuid": Unknown(),
    "meeting.rtms_unheard_of__invented": Unknown(),
}


def unsound(field: str, longest: int = 255) -> str:
    return f"has no valid `{field}`: it must be a printable string of 1 to {longest} characters."


NO_EVENT_TS = "has no valid `event_ts`: it must be milliseconds since 1970."
NO_PAYLOAD = "has no `payload` object."

# What a person reads who wants to know what was wrong; the event's name stands before it.
COMPLAINTS = {
    "app_deauthorized__missing_user_id": "has no valid `user_id`: it must be a printable string "
    "of 1 to 255 characters.",
    "meeting.rtms_started__missing_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__empty_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__stream_id_a_number": unsound("rtms_stream_id"),
    "meeting.rtms_started__nul_in_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__lone_surrogate_in_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__rtl_mark_in_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__long_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__missing_meeting_uuid": unsound("meeting_uuid"),
    "meeting.rtms_started__nul_in_meeting_uuid": unsound("meeting_uuid"),
    "meeting.rtms_started__missing_server_urls": unsound("server_urls", 4096),
    "meeting.rtms_started__server_urls_a_list": unsound("server_urls", 4096),
    "meeting.rtms_started__long_server_urls": unsound("server_urls", 4096),
    "meeting.rtms_started__missing_event_ts": NO_EVENT_TS,
    "meeting.rtms_started__event_ts_a_string": NO_EVENT_TS,
    "meeting.rtms_started__event_ts_a_bool": NO_EVENT_TS,
    "phone.rtms_started__missing_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_started__missing_payload": NO_PAYLOAD,
    "meeting.rtms_started__payload_a_list": NO_PAYLOAD,
    "meeting.rtms_stopped__missing_stream_id": unsound("rtms_stream_id"),
    "meeting.rtms_stopped__object_a_list": unsound("rtms_stream_id"),
    "meeting.rtms_interrupted__missing_event_ts": NO_EVENT_TS,
    "webinar.rtms_started__missing_uuid": unsound("webinar_uuid"),
    "session.rtms_started__missing_session_id": unsound("session_id"),
    "rtms.concurrency_limited__missing_payload": NO_PAYLOAD,
}


def test_every_file_of_the_catalogue_has_its_line_here() -> None:
    files = {path.stem for path in FIXTURES.glob("*.json")}
    assert files == MEANINGS.keys() | COMPLAINTS.keys()
    assert not MEANINGS.keys() & COMPLAINTS.keys()


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_a_delivery_means(name: str) -> None:
    body = load(name)
    assert body["event"] == name.partition("__")[0]
    assert parse(body, SENT_TS) == MEANINGS[name]


@pytest.mark.parametrize("name", sorted(COMPLAINTS))
def test_a_malformed_delivery_is_rejected_in_words(name: str) -> None:
    with pytest.raises(MalformedEvent) as rejected:
        parse(load(name), SENT_TS)
    assert str(rejected.value) == f"{name.partition('__')[0]} {COMPLAINTS[name]}"


@pytest.mark.parametrize("name", sorted(MEANINGS | COMPLAINTS))
def test_every_file_of_the_catalogue_is_a_body_that_is_read(name: str) -> None:
    assert decode_body((FIXTURES / f"{name}.json").read_bytes()) == load(name)


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": [{"meeting_uuid": "m"}]}])
def test_what_has_no_schema_and_asks_for_nothing_is_never_malformed(
    payload: dict[str, object],
) -> None:
    answered = parse({"event": "rtms.request_status", "event_ts": 1, **payload}, SENT_TS)
    named = "m" if payload.get("payload") else None
    assert answered == RequestStatus(rtms_stream_id=None, meeting_uuid=named, meeting_id=None)
    assert parse({"event": "meeting.started", "event_ts": 1, **payload}, SENT_TS) == Unknown()


# Deliveries that repeat each other


def test_a_redelivery_has_the_key_of_the_first_whatever_its_shape() -> None:
    flat, nested = (
        load("meeting.rtms_started__as_published"),
        load("meeting.rtms_started__nested_in_object"),
    )
    assert dedupe_key(flat, parse(flat, SENT_TS)) == dedupe_key(nested, parse(nested, SENT_TS))


@pytest.mark.parametrize(
    "change",
    [
        {"event": "meeting.rtms_interrupted"},
        {"event_ts": EVENT_TS + 1},
        {
            "payload": {
                **load("meeting.rtms_stopped__as_published")["payload"],
                "rtms_stream_id": "x",
            }
        },
    ],
    ids=["event", "moment", "stream"],
)
def test_another_event_moment_or_stream_has_another_key(change: dict[str, Any]) -> None:
    body = load("meeting.rtms_stopped__as_published")
    other = {**body, **change}
    assert dedupe_key(body, parse(body, SENT_TS)) != dedupe_key(other, parse(other, SENT_TS))


@pytest.mark.parametrize("event_ts", [0, 1, -1, EVENT_TS // 1000, EVENT_TS * 1000, 10**40])
def test_a_redelivery_is_known_by_its_body_where_its_event_ts_cannot_be_true(event_ts: int) -> None:
    body = {**load("meeting.rtms_started__as_published"), "event_ts": event_ts}
    again = parse(body, SENT_TS + 300_000)
    assert isinstance(again, Started)
    assert again.event_ts == SENT_TS + 300_000
    assert dedupe_key(body, again) == dedupe_key(body, parse(body, SENT_TS))


def test_warnings_are_repeats_only_when_all_of_them_is_the_same() -> None:
    body = load("rtms.concurrency_near_limit__as_published")
    reordered = dict(reversed(body.items()))
    later = {**body, "event_ts": EVENT_TS + 1}
    assert dedupe_key(body, parse(body, SENT_TS)) == dedupe_key(
        reordered, parse(reordered, SENT_TS)
    )
    assert dedupe_key(body, parse(body, SENT_TS)) != dedupe_key(later, parse(later, SENT_TS))


# Why a stream stopped


def test_faults_are_told_from_decisions() -> None:
    faults = [reason for reason in range(100) if is_fault(reason)]
    assert faults == [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 24]
    assert not is_fault(None)


def test_every_reason_that_zoom_documents_has_words_of_its_own() -> None:
    words = {stop_reason_text(reason) for reason in range(1, 27)}
    assert len(words) == 26
    assert not any("unknown to this version" in text for text in words)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (6, "the meeting ended"),
        (18, "ZOOM_CLIENT_SECRET is wrong"),
        (27, "Zoom's reason 27, unknown to this version"),
        (-1, "Zoom's reason -1, unknown to this version"),
        (None, "Zoom gave no reason"),
    ],
)
def test_a_stop_is_explained(reason: int | None, words: str) -> None:
    assert words in stop_reason_text(reason)


# Anything at all

TEXT = st.text() | st.sampled_from(["", "\0", "\ud800", "\u200f", "v0:1:{}", "6" * 10_000, UUID])
NUMBERS = (
    st.integers()
    | st.sampled_from([2**31, 2**63, 10**4000, -(10**4000)])
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("meeting_uuid", "webinar_uuid", "session_id", "rtms_stream_id", "server_urls"),
            *("meeting_id", "operator_id", "is_original_host", "stop_reason", "object"),
            *("concurrency_number", "id_field", "percentage", "plainToken"),
        ]
    ),
    VALUES | st.dictionaries(st.sampled_from(["rtms_stream_id", "meeting_uuid"]), VALUES),
)
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(sorted({load(name)["event"] for name in MEANINGS}))},
    optional={"event_ts": VALUES, "payload": FIELDS | VALUES},
)


def nested(levels: int) -> bytes:
    return b'{"event":"x","payload":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


@given(
    raw=st.binary() | (VALUES | EVENTS).map(lambda value: json.dumps(value).encode()),
    timestamp=st.text(max_size=14) | st.just("1700000000"),
    signature=st.text(max_size=80) | st.just(f"v0={'0' * 64}"),
)
@example(raw=b"", timestamp="", signature="")
@example(raw=b"[" * 200_000, timestamp="1", signature="v0=")
@example(raw=b'{"event":' * 200_000, timestamp="1", signature="v0=")
@example(raw=nested(31), timestamp="1700000000", signature="v0=\ud800")
@example(raw=nested(900), timestamp="1700000000", signature="v0=")
@example(raw=b'{"event":"x","payload":' + b"9" * 5000 + b"}", timestamp="٣", signature="²")
@example(raw=b'{"event":"x","payload":"\xed\xa0\x80"}', timestamp="1700000000", signature="v0=")
@example(raw=b'{"event":"x","payload":NaN}', timestamp="1700000000", signature="v0=")
@settings(deadline=None)
def test_no_input_raises_anything_but_what_is_documented(
    raw: bytes, timestamp: str, signature: str
) -> None:
    with suppress(BadBody):
        body = decode_body(raw)
        with pytest.raises(BadSignature):
            verify(
                ["token", "tökën"],
                timestamp=timestamp,
                signature=signature,
                raw=raw,
                body=body,
                now=1700000000.5,
                tolerance=300,
            )
        with suppress(BadChallenge):
            answer_challenge(body, "tökën")
        meaning = None
        with suppress(MalformedEvent):
            meaning = parse(body, SENT_TS)
        assert dedupe_key(body, meaning)


@given(EVENTS)
@settings(deadline=None)
def test_what_is_acted_on_is_sound(body: dict[str, Any]) -> None:
    with suppress(MalformedEvent):
        meaning = parse(body, SENT_TS)
        for name in ("rtms_stream_id", "meeting_uuid", "operator_id", "meeting_id"):
            value = getattr(meaning, name, None)
            assert value is None or (value.isprintable() and value.encode())


@pytest.mark.parametrize(
    "number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity"], ids=bytes.decode
)
def test_a_number_that_no_json_can_repeat_is_refused(number: bytes) -> None:
    # PostgreSQL's JSON knows no infinity: the record of this delivery could never be stored.
    with pytest.raises(BadBody):
        decode_body(b'{"event":"x","payload":{"percentage":' + number + b"}}")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "The body is not JSON."),
        (b"event=meeting.rtms_started", "The body is not JSON."),
        (b'{"event":"x"', "The body is not JSON."),
        (b'{"event":"x"}\xff', "The body is not JSON."),
        (b"[" * 100_000, "The body is not JSON."),
        (b"[]", "The body is not a JSON object."),
        (b'"meeting.rtms_started"', "The body is not a JSON object."),
        (b"null", "The body is not a JSON object."),
        (nested(32), "The body is nested more than 32 levels deep."),
        (b"{}", "The body names no event"),
        (b'{"event":7}', "The body names no event"),
        (b'{"event":""}', "The body names no event"),
        (b'{"event":"x\\u0000"}', "The body names no event"),
        (b'{"event":"\\ud800"}', "The body names no event"),
        (b'{"event":"' + b"x" * 256 + b'"}', "The body names no event"),
    ],
)
def test_a_body_that_is_no_event_is_refused_in_words(raw: bytes, complaint: str) -> None:
    with pytest.raises(BadBody, match=complaint):
        decode_body(raw)


def test_a_body_as_deep_as_is_allowed_is_read() -> None:
    assert decode_body(nested(31))["event"] == "x"
