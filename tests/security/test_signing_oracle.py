"""The challenge must not sign what could pass for a delivery.

The challenge's answer and a delivery's signature are the same function of the same key. Whoever
gets the server to answer for `v0:<time>:<body>`, in whatever disguise, has that body's signature.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from sandbox import Stream, events
from sandbox.zoom import stringify
from tests.conftest import ENVIRON

pytestmark = pytest.mark.usefixtures("nothing_comes_of_it")
TOKEN = ENVIRON["ZOOM_SECRET_TOKEN"]
CHALLENGE = "endpoint.url_validation"
FORGED = stringify(events.started(Stream()))
SHORT = b'{"event":"x"}'  # fits into a token's length


def message(stamp: str, body: bytes) -> str:
    """What Zoom would sign for a body."""
    return f"v0:{stamp}:{body.decode()}"


def challenge(plain: Any) -> dict[str, Any]:
    return {"event": CHALLENGE, "payload": {"plainToken": plain}}


def ask(app: Flask, raw: bytes | str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return app.test_client().post("/zoom-webhook", data=raw, headers=named)


def assert_it_signs_nothing(app: Flask, answer: TestResponse, stamp: str, body: bytes) -> None:
    """Take whatever the answer holds, and try to use it as the body's signature."""
    assert answer.status_code in (200, 400)
    told = answer.json
    assert isinstance(told, dict)
    wanted = hmac.new(TOKEN.encode(), message(stamp, body).encode(), hashlib.sha256).hexdigest()
    assert wanted not in answer.text + str(answer.headers)
    if answer.status_code == 400:
        assert set(told) == {"error"}
        return
    plain, answered = told["plainToken"], told["encryptedToken"]
    assert answered == hmac.new(TOKEN.encode(), plain.encode(), hashlib.sha256).hexdigest()
    assert ":" not in plain
    headers = {"x-zm-request-timestamp": stamp, "x-zm-signature": f"v0={answered}"}
    assert ask(app, body, **headers).status_code == 401


# How a message might be disguised, in the hope that the server undoes it before it hashes.
DISGUISES: dict[str, Callable[[str], Any]] = {
    "none": lambda text: text,
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "a space before": lambda text: f" {text}",
    "a space behind": lambda text: f"{text} ",
    "a tab before": lambda text: f"\t{text}",
    "a line break before": lambda text: f"\n{text}",
    "a line break behind": lambda text: f"{text}\r\n",
    "a NUL before": lambda text: f"\0{text}",
    "a NUL behind": lambda text: f"{text}\0",
    "a NUL within": lambda text: text.replace(":", "\0:", 1),
    "a byte order mark before": lambda text: f"\ufeff{text}",
    "a zero width space within": lambda text: text.replace(":", "\u200b:"),
    "a joiner within": lambda text: text.replace(":", ":\u200d"),
    "a soft hyphen within": lambda text: text.replace(":", "\u00ad:"),
    "a backspace within": lambda text: text.replace(":", "x\b:"),
    "full-width colons": lambda text: text.replace(":", "\uff1a"),
    "small colons": lambda text: text.replace(":", "\ufe55"),
    "ratio signs": lambda text: text.replace(":", "\u2236"),
    "Armenian full stops": lambda text: text.replace(":", "\u0589"),
    "full-width digits": lambda text: text.replace("0", "\uff10"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text.replace("v", "v\u0301")),
    "overlong": lambda text: text.replace(":", "\udcc0\udcba"),
    "percent-encoded": quote,
    "percent-encoded twice": lambda text: quote(quote(text)),
    "colons percent-encoded": lambda text: text.replace(":", "%3A"),
    "HTML colons": lambda text: text.replace(":", "&#58;"),
    "escaped colons": lambda text: text.replace(":", "\\u003a"),
    "escaped hex": lambda text: text.replace(":", "\\x3a"),
    "in quotes": json.dumps,
    "in a list": lambda text: [text],
    "in two parts": lambda text: [text[:2], text[2:]],
    "in characters": list,
    "in an object": lambda text: {"plainToken": text},
    "as a key": lambda text: {text: text},
    "as codes": lambda text: list(text.encode()),
    "a format": lambda text: text.replace(":", "{colon}"),
    "a template": lambda text: text.replace(":", "%(colon)s"),
    "behind another token": lambda text: f"abc\n{text}",
    "behind a long filler": lambda text: " " * 300 + text,
    "before a long filler": lambda text: text + " " * 300,
    "without v0": lambda text: text.removeprefix("v0"),
    "without v0 and colon": lambda text: text.removeprefix("v0:"),
    "its beginning": lambda text: text[:3],
    "its time": lambda text: text[: text.index("{")],
    "true": lambda text: True,
    "a number": lambda text: 10**20,
    "nothing": lambda text: None,
}


@pytest.mark.parametrize("body", [FORGED, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES.keys())
def test_no_disguise_of_a_delivery_gets_it_signed(
    app: Flask, disguise: Callable[[str], Any], body: bytes
) -> None:
    stamp = str(int(time.time()))
    asked = challenge(disguise(message(stamp, body)))
    for raw in (json.dumps(asked), json.dumps(asked, ensure_ascii=False)):
        wire = raw.encode("utf-8", "surrogatepass")
        assert_it_signs_nothing(app, ask(app, wire), stamp, body)


WRAPPINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-16": lambda text: json.dumps(challenge(text)).encode("utf-16"),
    "UTF-16 without a mark": lambda text: json.dumps(challenge(text)).encode("utf-16-le"),
    "UTF-32": lambda text: json.dumps(challenge(text)).encode("utf-32"),
    "UTF-8 with a mark": lambda text: json.dumps(challenge(text)).encode("utf-8-sig"),
    "every character escaped": lambda text: (
        f'{{"event":"{CHALLENGE}","payload":{{"plainToken":"'
        + "".join(f"\\u{ord(each):04x}" for each in text)
        + '"}}'
    ).encode(),
    "a good token first": lambda text: (
        f'{{"event":"{CHALLENGE}","payload":{{"plainToken":"abc","plainToken":{json.dumps(text)}}}}}'
    ).encode(),
    "a good token last": lambda text: (
        f'{{"event":"{CHALLENGE}","payload":{{"plainToken":{json.dumps(text)},"plainToken":"abc"}}}}'
    ).encode(),
    "two payloads": lambda text: (
        f'{{"event":"{CHALLENGE}","payload":{{"plainToken":{json.dumps(text)}}},'
        '"payload":{"plainToken":"abc"}}'
    ).encode(),
    "two events": lambda text: (
        f'{{"event":"x","payload":{{"plainToken":{json.dumps(text)}}},"event":"{CHALLENGE}"}}'
    ).encode(),
    "nested in object": lambda text: json.dumps(
        {"event": CHALLENGE, "payload": {"object": {"plainToken": text}, "plainToken": "abc"}}
    ).encode(),
    "beside the payload": lambda text: json.dumps(
        {"event": CHALLENGE, "plainToken": text, "payload": {"plainToken": "abc"}}
    ).encode(),
    "another case of the name": lambda text: json.dumps(
        {"event": CHALLENGE, "payload": {"PlainToken": text, "plaintoken": text}}
    ).encode(),
    "another case of the event": lambda text: json.dumps(
        {"event": CHALLENGE.upper(), "payload": {"plainToken": text}}
    ).encode(),
    "white space around": lambda text: b"\r\n\t " + json.dumps(challenge(text)).encode() + b"\n",
}
CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "application/json; charset=utf-7",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
)


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS.keys())
def test_no_wrapping_of_a_challenge_gets_a_delivery_signed(
    app: Flask, wrap: Callable[[str], bytes]
) -> None:
    stamp = str(int(time.time()))
    for text in (message(stamp, SHORT), "v0:", ":"):
        for content_type in CONTENT_TYPES:
            answer = ask(app, wrap(text), Content_Type=content_type)
            if answer.status_code != 401:  # 401: it was no challenge at all
                assert_it_signs_nothing(app, answer, stamp, SHORT)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-zm-signature": "v0=" + "0" * 64},
        {"x-zm-request-timestamp": "now"},
        {"x-zm-signature": " ", "x-zm-request-timestamp": " "},
        {"x-zm-signature": "v0="},
    ],
    ids=str,
)
def test_a_challenge_with_a_bad_signature_is_not_answered_as_if_it_had_none(
    app: Flask, headers: dict[str, str]
) -> None:
    stamp = headers.get("x-zm-request-timestamp", str(int(time.time())))
    answer = ask(app, json.dumps(challenge("abc")), **{**headers, "x-zm-request-timestamp": stamp})
    assert answer.status_code == 401
    assert "encryptedToken" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/zoom-webhook"), ("PUT", "/zoom-webhook"), ("POST", "/zoom-webhook/"), ("POST", "/")],
)
def test_no_other_method_or_path_answers_a_challenge(app: Flask, method: str, path: str) -> None:
    answer = app.test_client().open(path, method=method, json=challenge("abc"))
    assert answer.status_code in (404, 405)
    assert "encryptedToken" not in answer.text


NEARLY = st.text(st.sampled_from("v0V:1 \0\ufeff\uff1a%3A{}\\u\"'\n"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | NEARLY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plain=JSON | NEARLY | st.text(max_size=300), body=st.sampled_from([FORGED, SHORT]))
@example(plain="v0", body=SHORT)
@example(plain="v0" + ":" * 254, body=SHORT)
def test_no_answer_to_any_challenge_is_a_signature(app: Flask, plain: Any, body: bytes) -> None:
    stamp = str(int(time.time()))
    assert_it_signs_nothing(app, ask(app, json.dumps(challenge(plain))), stamp, body)
