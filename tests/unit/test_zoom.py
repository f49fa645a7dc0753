"""Who is Zoom: signatures, the challenge and its trap, and the signature that joins a stream.

What Zoom would send is computed here from its documentation, apart from the code under test."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rtms.payload import BadSignature, decode_body
from rtms.zoom.signature import BadChallenge, answer_challenge, join_signature, verify
from tests.conftest import ENVIRON, FIXTURES, load

TOKEN = ENVIRON["ZOOM_SECRET_TOKEN"]
NOW = 1_700_000_000
TOLERANCE = 300


def sign(message: bytes, *, token: str = TOKEN, timestamp: str = str(NOW)) -> str:
    """The header `x-zm-signature`, as Zoom documents it."""
    signed = b"v0:" + timestamp.encode() + b":" + message
    return "v0=" + hmac.new(token.encode(), signed, hashlib.sha256).hexdigest()


def check(
    raw: bytes,
    signature: str,
    *,
    tokens: tuple[str, ...] = (TOKEN,),
    timestamp: str = str(NOW),
    now: float = NOW,
) -> str:
    """Verify a delivery as the server does; returns the token that verified it."""
    return verify(
        tokens,
        timestamp=timestamp,
        signature=signature,
        raw=raw,
        body=decode_body(raw),
        now=now,
        tolerance=TOLERANCE,
    )


START = json.dumps(load("meeting.rtms_started__as_published"), separators=(",", ":")).encode()

# Deliveries


def test_a_known_answer() -> None:
    # printf 'v0:1700000000:{...}' | openssl dgst -sha256 -hmac 'zoom-secret-token-of-the-tests'
    raw = (
        '{"event":"meeting.rtms_started","event_ts":1626230691572,"payload":{"topic":"Zoë 🎉"}}'
    ).encode()
    signature = "v0=c53c50ffb2d1317904ec2041eafd9c79eb2421143f6a009575512336baa2b8f9"
    assert check(raw, signature) == TOKEN == "zoom-secret-token-of-the-tests"


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_every_delivery_is_verified_by_its_bytes(path: Any) -> None:
    raw = path.read_bytes()  # white space and all
    assert check(raw, sign(raw)) == TOKEN
    with pytest.raises(BadSignature):
        check(raw + b" ", sign(b" " + raw))


SPOKEN = {
    "emoji": {"topic": "Zoë’s café 🎉"},
    "a family of emoji": {"topic": "👩‍👩‍👧‍👦"},
    "line separators": {"topic": "a\u2028b\u2029c"},
    "control characters": {"topic": "tab\tnew line\nbell\x07delete\x7f"},
    "quotes and slashes": {"topic": '"quoted" \\ and / and </script>'},
    "key order": {"zebra": 1, "ant": 2, "Zoë": 3},
    "nothing": {"topic": None, "list": [], "object": {}, "yes": True},
}


@pytest.mark.parametrize("payload", SPOKEN.values(), ids=SPOKEN)
def test_other_bytes_of_the_same_content_are_verified_by_the_canonical_form(
    payload: dict[str, Any],
) -> None:
    body = {"event": "meeting.rtms_started", "event_ts": 1626230691572, "payload": payload}
    stringified = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    for sent in (json.dumps(body).encode(), json.dumps(body, indent=2).encode(), stringified):
        assert check(sent, sign(stringified)) == TOKEN


@pytest.mark.parametrize(
    "sent",
    [
        START.replace(b"wss://127.0.0.1:443", b"wss://evil.example:443"),
        START.replace(b"meeting.rtms_started", b"meeting.rtms_stopped"),
        START.replace(b"1626230691572", b"1626230691573"),
        START[:-1] + b',"more":1}',
        START[:-1] + b',"event":"meeting.rtms_stopped"}',
        json.dumps(dict(reversed(json.loads(START).items())), separators=(",", ":")).encode(),
    ],
    ids=["urls", "event", "moment", "a field more", "a key twice", "key order"],
)
def test_other_content_is_not_verified(sent: bytes) -> None:
    assert sent != START
    with pytest.raises(BadSignature, match="does not match"):
        check(sent, sign(START))


def test_content_without_bytes_of_its_own_is_verified_by_the_bytes_that_came() -> None:
    raw = b'{"event":"meeting.rtms_started","payload":{"topic":"\\ud83c"}}'  # half an emoji
    assert check(raw, sign(raw)) == TOKEN


@pytest.mark.parametrize(
    ("tokens", "signed_with"),
    [
        (("new", "old"), "new"),
        (("new", "old"), "old"),
        (("a", "b", "c", "d"), "d"),
        (("tökën", "秘密"), "秘密"),
    ],
)
def test_any_token_verifies_while_one_is_rotated_and_is_named(
    tokens: tuple[str, ...], signed_with: str
) -> None:
    assert check(START, sign(START, token=signed_with), tokens=tokens) == signed_with


@pytest.mark.parametrize("tokens", [("new", "old"), ()])
def test_a_token_that_is_not_configured_verifies_nothing(tokens: tuple[str, ...]) -> None:
    with pytest.raises(BadSignature, match="ZOOM_SECRET_TOKEN"):
        check(START, sign(START, token="retired"), tokens=tokens)


@pytest.mark.parametrize("seconds", [-300, -299.5, 0, 0.9, 300])
def test_a_clock_apart_by_no_more_than_the_tolerance_is_good(seconds: float) -> None:
    assert check(START, sign(START), now=NOW + seconds) == TOKEN


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (300.001, "300 s ago; 300 s are allowed"),
        (301, "301 s ago"),
        (86400, "86400 s ago"),
        (-300.001, "300 s ahead"),
        (-301, "301 s ahead"),
        (-NOW, "1700000000 s ahead"),
    ],
)
def test_a_stale_or_future_delivery_is_refused_even_well_signed(seconds: float, words: str) -> None:
    with pytest.raises(BadSignature, match=words):
        check(START, sign(START), now=NOW + seconds)


@pytest.mark.parametrize(
    "timestamp",
    [
        *("soon", "-1700000000", "+1700000000", " 1700000000", "1700000000 ", "1700000000.0"),
        *("1.7e9", "0x6553f100", "1_700_000_000", "17000000000000", "9" * 10_000, "\0"),
        *("١٧٠٠٠٠٠٠٠٠", "１７００００００００", "²", "nan", "inf", "1700000000\ud800"),
    ],
)
def test_a_malformed_timestamp_is_refused_even_well_signed(timestamp: str) -> None:
    signed = b"v0:" + timestamp.encode("utf-8", "surrogatepass") + b":" + START
    signature = "v0=" + hmac.new(TOKEN.encode(), signed, hashlib.sha256).hexdigest()
    with pytest.raises(BadSignature, match="x-zm-request-timestamp is not a Unix time"):
        check(START, signature, timestamp=timestamp)


def test_another_timestamp_than_the_signed_one_is_refused() -> None:
    with pytest.raises(BadSignature, match="does not match"):
        check(START, sign(START), timestamp=str(NOW + 1))


GOOD = sign(START)


@pytest.mark.parametrize(
    "signature",
    [
        *("v0=", "v0", "=", GOOD[:-1], GOOD + "0", GOOD[3:], GOOD * 100, GOOD.upper(), f"{GOOD}\n"),
        *(f" {GOOD}", f"v1={GOOD[3:]}", f"v0={'0' * 64}", f"{GOOD},{GOOD}", "v0=" + "é" * 64),
        *("v0=" + "\ud800" * 64, "\0", GOOD.replace("0", "０"), "x" * 100_000),
    ],
    ids=range(18),
)
def test_a_signature_of_another_form_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature, match="does not match"):
        check(START, signature)


@pytest.mark.parametrize(
    ("timestamp", "signature"), [("", GOOD), (str(NOW), ""), ("", "")], ids=["time", "sign", "both"]
)
def test_a_missing_header_is_named(timestamp: str, signature: str) -> None:
    with pytest.raises(BadSignature, match="x-zm-signature and x-zm-request-timestamp are missing"):
        check(START, signature, timestamp=timestamp)


def test_a_refusal_says_nothing_that_helps_to_forge() -> None:
    for now in (NOW, NOW + 1000):
        with pytest.raises(BadSignature) as refused:
            check(START + b" ", "v0=" + "0" * 64, now=now)
        assert TOKEN not in str(refused.value)
        assert GOOD[3:] not in str(refused.value)


# The challenge, and its trap: it is signed like a delivery


def challenge(plain_token: object) -> dict[str, Any]:
    return {"event": "endpoint.url_validation", "payload": {"plainToken": plain_token}}


def test_a_challenge_is_answered() -> None:
    # printf qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac 'zoom-secret-token-of-the-tests'
    assert answer_challenge(load("endpoint.url_validation__as_published"), TOKEN) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": "8db35e9d25565a4ef851e743acdf65b3df847640266cbf208f6071ba99b79288",
    }


@pytest.mark.parametrize("plain", ["x", "a b", "~!@#$%^&*()_+-=[]{};'\",.<>/?`|\\", "t" * 256])
def test_any_short_printable_token_is_answered_with_the_token_given(plain: str) -> None:
    expected = hmac.new(b"another", plain.encode(), hashlib.sha256).hexdigest()
    assert answer_challenge(challenge(plain), "another") == {
        "plainToken": plain,
        "encryptedToken": expected,
    }


@pytest.mark.parametrize(
    "plain",
    [
        f"v0:{NOW}:" + START.decode(),
        f"v0:{NOW}:" + '{"event":"x"}',
        *("v0:", ":", "token:", ":token", "v0：1700000000：{}", "V0:1:{}", "a:b"),
        *("t" * 257, "t" * 100_000),
        *("tab\t", "line\n", "\n", "\0", "nul\0", "\x7f", "\x1b[2J", "é", "🎉", "\ud800"),
        *("\u200f", "\u200btoken", "\ufefftoken", "\xa0", "ａ"),
    ],
    ids=range(26),
)
def test_what_is_no_token_of_zooms_is_never_hashed(plain: str) -> None:
    with pytest.raises(BadChallenge, match="256 printable ASCII characters and no colon"):
        answer_challenge(challenge(plain), TOKEN)


@pytest.mark.parametrize(
    "body",
    [
        *(challenge(plain) for plain in ("", None, 7, True, ["token"], {"plainToken": "token"})),
        {"event": "endpoint.url_validation", "payload": {}},
        {"event": "endpoint.url_validation", "payload": ["token"]},
        {"event": "endpoint.url_validation", "payload": "token"},
        {"event": "endpoint.url_validation"},
        {"event": "endpoint.url_validation", "plainToken": "token"},
        {"event": "endpoint.url_validation", "payload": {"object": {"plainToken": "token"}}},
    ],
    ids=json.dumps,
)
def test_a_challenge_without_a_token_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadChallenge, match=r"no payload\.plainToken"):
        answer_challenge(body, TOKEN)


@given(timestamp=st.text(), body=st.text() | st.just(START.decode()))
@example(timestamp=str(NOW), body=START.decode())
@example(timestamp="", body="")
@settings(deadline=None)
def test_no_message_that_zoom_could_sign_is_answered(timestamp: str, body: str) -> None:
    with pytest.raises(BadChallenge):
        answer_challenge(challenge(f"v0:{timestamp}:{body}"), TOKEN)


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)


@given(plain=st.text() | PRINTABLE | st.builds("v0:{}:{}".format, st.integers(), PRINTABLE))
@settings(deadline=None)
def test_no_answer_is_the_signature_of_a_delivery(plain: str) -> None:
    try:
        answer = answer_challenge(challenge(plain), TOKEN)
    except BadChallenge:
        assume(False)
    # Every signed message begins so, and has a second colon: this one is none of them.
    assert not plain.startswith("v0:")
    assert ":" not in plain
    assert len(plain) <= 256
    # Nor does it pass in the place of one, whatever is put around it.
    for raw in (START, json.dumps(challenge(plain)).encode()):
        with pytest.raises(BadSignature):
            check(raw, f"v0={answer['encryptedToken']}")


# Joining a stream


def test_the_join_signature_is_what_the_quickstart_makes() -> None:
    # printf 'client,uuid,stream' | openssl dgst -sha256 -hmac 'zoom-client-secret-of-the-tests'
    assert (
        join_signature(
            ENVIRON["ZOOM_CLIENT_ID"],
            ENVIRON["ZOOM_CLIENT_SECRET"],
            meeting_uuid="/ab+c/DEF//ghi+jkl/mnop==",
            rtms_stream_id="609340fb2a7946909659956c8aa9250c",
        )
        == "e7f98265e5caed3d90b2860e8f5ea861af1262ffdc1566c2ffbff29ffc9122d0"
    )


@given(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]))] * 4))
def test_a_join_signature_is_of_the_client_the_meeting_and_the_stream(
    words: tuple[str, str, str, str],
) -> None:
    client, secret, meeting, stream = words
    message = ",".join((client, meeting, stream)).encode()
    expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    assert join_signature(client, secret, meeting_uuid=meeting, rtms_stream_id=stream) == expected
