"""Deliveries that Zoom, or Recall, did not send as they came."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from config import ROOT
from sandbox import Stream, events
from sandbox.zoom import sign, stringify
from tests.conftest import ENVIRON
from tests.integration.conftest import Rows
from tests.security.conftest import RECALL_KEY

TOKEN = ENVIRON["ZOOM_SECRET_TOKEN"]
Sent = tuple[dict[str, str], bytes]
STAMP, SIGNATURE = "x-zm-request-timestamp", "x-zm-signature"


def delivery(body: dict[str, Any], *, age: int = 0, token: str = TOKEN) -> Sent:
    """What an eavesdropper would have of a delivery of Zoom's."""
    raw, stamp = stringify(body), str(int(time.time()) - age)
    return {STAMP: stamp, SIGNATURE: sign(token, stamp, raw)}, raw


def post(app: Flask, sent: Sent, path: str = "/zoom-webhook") -> tuple[int, Any]:
    headers, raw = sent
    answer = app.test_client().post(path, data=raw, headers=headers)
    return answer.status_code, answer.json


def genuine(**options: Any) -> Sent:
    return delivery(events.started(Stream()), **options)


def with_headers(sent: Sent, **changes: str) -> Sent:
    headers, raw = sent
    named = {STAMP: changes.get("stamp"), SIGNATURE: changes.get("signature")}
    return {**headers, **{name: text for name, text in named.items() if text is not None}}, raw


def resigned(digest: Callable[[bytes], str]) -> Sent:
    """A delivery whose signature is made in another way from what Zoom signs."""
    headers, raw = genuine()
    return with_headers((headers, raw), signature=digest(f"v0:{headers[STAMP]}:".encode() + raw))


def _hmac(key: str, message: bytes, algorithm: Any = hashlib.sha256) -> str:
    return "v0=" + hmac.new(key.encode(), message, algorithm).hexdigest()


def changed(change: Callable[[dict[str, str], bytes], Sent]) -> Sent:
    return change(*genuine())


FORGERIES: dict[str, Callable[[], Sent]] = {
    # forged
    "with the client secret": lambda: genuine(token=ENVIRON["ZOOM_CLIENT_SECRET"]),
    "with the API key": lambda: genuine(token=ENVIRON["RECALL_API_KEY"]),
    "with an empty key": lambda: resigned(lambda message: _hmac("", message)),
    "with SHA-1": lambda: resigned(lambda message: _hmac(TOKEN, message, hashlib.sha1)),
    "with SHA-512": lambda: resigned(lambda message: _hmac(TOKEN, message, hashlib.sha512)),
    "with a plain hash": lambda: resigned(
        lambda message: "v0=" + hashlib.sha256(TOKEN.encode() + message).hexdigest()
    ),
    "over the body alone": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: _hmac(TOKEN, raw)}, raw)
    ),
    "over nothing": lambda: changed(lambda h, raw: ({**h, SIGNATURE: _hmac(TOKEN, b"")}, raw)),
    "as base64": lambda: resigned(
        lambda message: (
            "v0=" + base64.b64encode(hmac.digest(TOKEN.encode(), message, "sha256")).decode()
        )
    ),
    # stale
    "six minutes old": lambda: genuine(age=360),
    "six minutes ahead": lambda: genuine(age=-360),
    "an old one under a fresh timestamp": lambda: with_headers(
        genuine(age=360), stamp=str(int(time.time()))
    ),
    # stripped
    "without its signature": lambda: changed(lambda h, raw: ({STAMP: h[STAMP]}, raw)),
    "without its timestamp": lambda: changed(lambda h, raw: ({SIGNATURE: h[SIGNATURE]}, raw)),
    "without either": lambda: changed(lambda h, raw: ({}, raw)),
    "without its version": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: h[SIGNATURE].removeprefix("v0=")}, raw)
    ),
    "of another version": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: h[SIGNATURE].replace("v0=", "v1=")}, raw)
    ),
    "cut in half": lambda: changed(lambda h, raw: ({**h, SIGNATURE: h[SIGNATURE][:35]}, raw)),
    "in upper case": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: "v0=" + h[SIGNATURE][3:].upper()}, raw)
    ),
    "twice": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: f"{h[SIGNATURE]},{h[SIGNATURE]}"}, raw)
    ),
    "with one more beside it": lambda: changed(
        lambda h, raw: ({**h, SIGNATURE: f"v0={'0' * 64} {h[SIGNATURE]}"}, raw)
    ),
    # swapped
    "another delivery's": lambda: with_headers(
        genuine(), signature=genuine(token=TOKEN)[0][SIGNATURE]
    ),
    "another body": lambda: changed(lambda h, raw: (h, stringify(events.started(Stream())))),
    "a body with one byte more": lambda: changed(lambda h, raw: (h, raw[:-1] + b',"x":1}')),
    "a body with a key twice": lambda: changed(
        lambda h, raw: (h, raw[:-1] + b',"payload":{"rtms_stream_id":"mine"}}')
    ),
    "a timestamp a second later": lambda: changed(
        lambda h, raw: ({**h, STAMP: str(int(h[STAMP]) + 1)}, raw)
    ),
    "a timestamp with a zero before it": lambda: changed(
        lambda h, raw: ({**h, STAMP: f"0{h[STAMP]}"}, raw)
    ),
    "a timestamp with a part of the body": lambda: changed(
        lambda h, raw: ({**h, STAMP: f"{h[STAMP]}:{{"}, raw[1:])
    ),
    "a timestamp in other digits": lambda: changed(
        lambda h, raw: ({**h, STAMP: h[STAMP].replace("1", "¹")}, raw)
    ),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
@pytest.mark.usefixtures("nothing_comes_of_it")
def test_what_zoom_did_not_sign_does_not_get_in(app: Flask, forge: Callable[[], Sent]) -> None:
    status, answer = post(app, forge())
    assert status in (400, 401)
    assert set(answer) == {"error"}


def test_the_forgeries_differ_from_what_gets_in_by_nothing_else(app: Flask) -> None:
    assert post(app, genuine())[0] == 200


def test_a_replayed_delivery_changes_nothing(app: Flask, rows: Rows) -> None:
    stream = Stream()
    life = [delivery(events.started(stream)), delivery(events.stopped(stream))]
    assert [post(app, sent)[0] for sent in life] == [200, 200]
    before = rows.meetings(), rows.events()
    for sent in (life[0], life[1], life[0]):
        status, answer = post(app, sent)
        assert (status, answer["outcome"]) == (200, "duplicate")
    assert (rows.meetings(), rows.events()) == before


def test_what_is_acted_upon_is_what_was_signed(app: Flask, rows: Rows) -> None:
    """Other bytes of the same content pass, for Zoom sends such; other content never does."""
    body = events.started(Stream(rtms_stream_id="true"))
    headers, raw = delivery(body)
    twice = b'{"event":"meeting.rtms_stopped",' + raw[1:]
    spaced = json.dumps(body, indent=2).encode()
    for other in (twice, spaced):
        assert json.loads(other) == body
        assert post(app, (headers, other))[0] == 200
    event = rows.events()[-1]
    assert (event.event, event.payload) == ("meeting.rtms_started", body)
    assert rows.meetings()[-1].rtms_stream_id == "true"


def recall_message(key: str = RECALL_KEY) -> Sent:
    raw, stamp = b'{"event":"recording.done","data":{}}', str(int(time.time()))
    digest = hmac.digest(base64.b64decode(key), f"msg_1.{stamp}.".encode() + raw, "sha256")
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }, raw


@pytest.mark.usefixtures("nothing_comes_of_it")
def test_one_senders_signature_opens_no_other_door(app: Flask) -> None:
    assert post(app, recall_message(), "/zoom-webhook")[0] == 401
    assert post(app, genuine(), "/recall-webhook")[0] == 401
    zooms_key = base64.b64encode(TOKEN.encode()).decode()
    assert post(app, recall_message(zooms_key), "/recall-webhook")[0] == 401


def test_recalls_own_signature_opens_recalls_door(app: Flask) -> None:
    assert post(app, recall_message(), "/recall-webhook")[0] == 200


# ---- the compare takes the same time however much of a guess is right


@pytest.mark.parametrize(
    ("path", "make"), [("/zoom-webhook", genuine), ("/recall-webhook", recall_message)]
)
def test_a_compare_in_constant_time_decides_and_nothing_else_does(
    app: Flask, monkeypatch: pytest.MonkeyPatch, path: str, make: Callable[..., Sent]
) -> None:
    seen: list[tuple[Any, Any]] = []

    def compare(verdict: bool) -> Callable[[Any, Any], bool]:
        def decide(one: Any, other: Any) -> bool:
            seen.append((one, other))
            return verdict

        return decide

    monkeypatch.setattr(hmac, "compare_digest", compare(False))
    assert post(app, make(), path)[0] == 401  # although it is true
    assert seen
    assert all(len(one) == len(other) for one, other in seen)
    headers, raw = make()
    first = next(name for name in headers if name.endswith("signature"))
    forged = {**headers, first: "v1,AAAA" if first.startswith("webhook") else "v0=0"}
    monkeypatch.setattr(hmac, "compare_digest", compare(True))
    assert post(app, (forged, raw), path)[0] == 200  # although it is false
    monkeypatch.undo()
    assert post(app, (forged, raw), path)[0] == 401


# The database looks for the hash of a random token: what its time tells of a hash is worth nothing.
BY_HASH = {"ADMIN_SESSIONS.c.token_hash == _hash(token)"}
GUARDED = re.compile(r"signature|digest|hmac|secret|token|encrypted|api_key|password", re.I)


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "rtms").rglob("*.py")), ROOT / "app.py"], ids=lambda path: path.name
)
def test_no_operator_compares_what_is_secret(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare):
            continue
        by_value = [isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops]
        names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
        names += [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)]
        if any(by_value):
            compared = ast.unparse(node)
            assert compared in BY_HASH or not list(filter(GUARDED.search, names)), compared


def test_no_answer_tells_how_near_a_guess_was(app: Flask) -> None:
    """Whatever is wrong with a signature, the words are the same."""
    headers, raw = genuine()
    guesses = [f"v0={'0' * 64}", headers[SIGNATURE][:-1] + "x", headers[SIGNATURE][:20], "x"]
    answers = {str(post(app, ({**headers, SIGNATURE: guess}, raw))) for guess in guesses}
    assert len(answers) == 1
