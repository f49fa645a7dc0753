"""The Recall client: every answer, and every lack of one, becomes one typed outcome."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests import PreparedRequest
from urllib3.exceptions import ReadTimeoutError

from rtms.recall.client import Recall
from rtms.recall.create_outcomes import (
    Created,
    CreateOutcome,
    NotDone,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from rtms.recall.errors import RecallError

BASE = "https://us-east-1.recall.ai"
URL = f"{BASE}/api/v1/meeting_direct_connect"
API_KEY = "0123456789abcdef0123456789abcdef01234567"
SIGNATURE = "fedcba9876543210" * 4
ZOOM_RTMS = {
    "meeting_uuid": "/ab+c/DEF//ghi+jkl/mnop==",
    "rtms_stream_id": "609340fb2a7946909659956c8aa9250c",
    "server_urls": "wss://127.0.0.1:443,wss://127.0.0.2:443",
    "signature": SIGNATURE,
}


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    """Recall's side of the wire. A call to an address that was not added fails like a refused
    connection, and is recorded all the same."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def create(
    *, base_url: str = BASE, recording_config: dict[str, Any] | None = None, key: str = "key-1"
) -> CreateOutcome:
    return Recall(API_KEY, base_url).create_direct_connect(
        zoom_rtms=ZOOM_RTMS,
        recording_config={"video_mixed_mp4": {}} if recording_config is None else recording_config,
        metadata={"rtms_stream_id": "609340fb", "meeting_direct_connect_id": "7"},
        idempotency_key=key,
    )


def calls(http: responses.RequestsMock) -> list[PreparedRequest]:
    return [call.request for call in http.calls]


def body_of(request: PreparedRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.body or b"")
    return body


# What is sent


def test_a_create_is_sent_as_recall_documents_it(http: responses.RequestsMock) -> None:
    http.post(URL, status=201, json={"id": "r-1", "status": {"code": "joining"}, "recordings": []})
    assert create() == Created(recall_id="r-1", status="joining", sub_code=None)
    (request,) = calls(http)
    assert request.method == "POST"
    assert request.url == URL  # the quickstart's path, without a closing slash
    assert request.headers["Authorization"] == f"Token {API_KEY}"
    assert request.headers["Idempotency-Key"] == "key-1"
    assert request.headers["Content-Type"] == "application/json"
    metadata = {"rtms_stream_id": "609340fb", "meeting_direct_connect_id": "7"}
    assert body_of(request) == {
        "zoom_rtms": ZOOM_RTMS,
        "recording_config": {"video_mixed_mp4": {}, "metadata": metadata},
        "metadata": metadata,
    }


def test_the_operators_metadata_is_kept_beside_ours(http: responses.RequestsMock) -> None:
    http.post(URL, status=201, json={"id": "r-1"})
    config = {
        "transcript": {"provider": {"meeting_captions": {}}},
        "metadata": {"team": "sales", "note": None, "rtms_stream_id": "not this"},
    }
    before = json.dumps(config)
    create(recording_config=config)
    sent = body_of(calls(http)[0])
    ours = {"rtms_stream_id": "609340fb", "meeting_direct_connect_id": "7"}
    assert sent["recording_config"]["metadata"] == {"team": "sales", "note": None, **ours}
    assert sent["recording_config"]["transcript"] == config["transcript"]
    assert sent["metadata"] == ours
    assert json.dumps(config) == before  # the configuration is shared by every call


def test_a_password_in_netrc_does_not_take_the_keys_place(
    http: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine us-east-1.recall.ai login mallory password netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    http.post(URL, status=307, headers={"Location": f"{URL}/"})
    http.post(f"{URL}/", status=201, json={"id": "r-1"})
    http.get(f"{URL}/r-1", json={"id": "r-1"})
    create()
    Recall(API_KEY, BASE).retrieve_direct_connect("r-1")
    assert [r.headers["Authorization"] for r in calls(http)] == [f"Token {API_KEY}"] * 3


def test_a_cookie_is_not_carried_from_one_stream_to_the_next(http: responses.RequestsMock) -> None:
    http.post(URL, status=503, headers={"Set-Cookie": "session=1; Path=/"})
    recall = Recall(API_KEY, BASE)
    for key in ("key-1", "key-2"):
        recall.create_direct_connect(
            zoom_rtms=ZOOM_RTMS, recording_config={}, metadata={}, idempotency_key=key
        )
    assert not any("Cookie" in request.headers for request in calls(http))


# What comes back (Recall: API errors)

CREATED_BODIES: dict[str, tuple[dict[str, Any], Created]] = {
    "as documented": (
        {"id": "r-1", "status": {"code": "joining", "sub_code": "waiting"}},
        Created(recall_id="r-1", status="joining", sub_code="waiting"),
    ),
    "a code nobody has heard of": (
        {"id": "r-1", "status": {"code": "brand_new", "sub_code": None}},
        Created(recall_id="r-1", status="brand_new", sub_code=None),
    ),
    "no status": ({"id": "r-1"}, Created(recall_id="r-1", status=None, sub_code=None)),
    "status null": (
        {"id": "r-1", "status": None},
        Created(recall_id="r-1", status=None, sub_code=None),
    ),
    "status a string": (
        {"id": "r-1", "status": "joining"},
        Created(recall_id="r-1", status="joining", sub_code=None),
    ),
    "code a number": (
        {"id": "r-1", "status": {"code": 7, "sub_code": "\0"}},
        Created(recall_id="r-1", status=None, sub_code=None),
    ),
}


@pytest.mark.parametrize("status", [201, 200])
@pytest.mark.parametrize(("body", "outcome"), CREATED_BODIES.values(), ids=CREATED_BODIES)
def test_created(
    http: responses.RequestsMock, body: dict[str, Any], outcome: Created, status: int
) -> None:
    http.post(URL, status=status, json=body)
    assert create() == outcome


NO_ID = {
    "no id": b'{"status": {"code": "joining"}}',
    "id null": b'{"id": null}',
    "id a number": b'{"id": 7}',
    "id empty": b'{"id": ""}',
    "id with NUL": b'{"id": "r\\u0000"}',
    "a list": b'[{"id": "r-1"}]',
    "truncated": b'{"id": "r-1", "status": {"code": "joi',
    "nothing": b"",
    "HTML": b"<html>It worked!</html>",
    "too deep": b"[" * 100_000,
    "too large": b" " * 1_100_000 + b'{"id": "r-1"}',
    "not UTF-8": b'{"id": "\xff"}',
}


@pytest.mark.parametrize("body", NO_ID.values(), ids=NO_ID)
def test_a_201_that_names_no_connection_may_have_made_one(
    http: responses.RequestsMock, body: bytes
) -> None:
    http.post(URL, status=201, body=body)
    outcome = create()
    assert isinstance(outcome, OutcomeUnknown)
    assert len(outcome.error) < 1000


REFUSED_WORDS = {
    400: "no such recorder",
    401: "RECALL_API_KEY",
    402: "credit",
    403: "RECALL_API_KEY",
    404: "no such recorder",
    405: "no such recorder",
    413: "no such recorder",
    422: "no such recorder",
}


@pytest.mark.parametrize(("status", "words"), REFUSED_WORDS.items())
def test_a_refusal_is_final_and_says_what_to_do(
    http: responses.RequestsMock, status: int, words: str
) -> None:
    http.post(URL, status=status, json={"detail": "no such recorder"}, headers={"Retry-After": "1"})
    outcome = create()
    assert isinstance(outcome, Refused)
    assert words in outcome.error
    assert f"Recall answered {status}" in outcome.error
    assert "no such recorder" in outcome.error  # Recall's own words say what was wrong


def test_the_firewalls_page_is_a_refusal_in_one_line(http: responses.RequestsMock) -> None:
    page = "<html>\n<head><title>403</title></head>\n<body>Request blocked" + "." * 9000
    http.post(URL, status=403, body=page, content_type="text/html")
    outcome = create()
    assert isinstance(outcome, Refused)
    assert "Request blocked" in outcome.error
    assert "firewall" in outcome.error
    assert "\n" not in outcome.error
    assert len(outcome.error) < 1000


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, NotDone),  # completed: Recall keeps the refusal under the key
        (507, NotDone),
        (409, OutcomeUnknown),  # the first request with the key is still running
        (408, OutcomeUnknown),
        (502, OutcomeUnknown),
        (503, OutcomeUnknown),
        (504, OutcomeUnknown),
        (520, OutcomeUnknown),  # what nobody documented may have been done
        (599, OutcomeUnknown),
        (202, OutcomeUnknown),
        (204, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("retry_after", [None, 7.0])
def test_an_answer_that_may_pass(
    http: responses.RequestsMock,
    status: int,
    kind: type[NotDone | OutcomeUnknown],
    retry_after: float | None,
) -> None:
    headers = {} if retry_after is None else {"Retry-After": "7"}
    http.post(URL, status=status, body=b"" if status == 204 else b"Busy", headers=headers)
    outcome = create()
    assert type(outcome) is kind
    assert outcome.retry_after == retry_after
    assert f"Recall answered {status}" in outcome.error


class Endless(io.RawIOBase):
    """An answer's body that is far too large, and counts what is read of it."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.read_bytes > 16 * 1024**2:
            return 0
        buffer[:] = b" " * len(buffer)
        self.read_bytes += len(buffer)
        return len(buffer)


@pytest.mark.parametrize("status", [201, 307, 400, 503])
def test_no_answer_is_read_without_end(http: responses.RequestsMock, status: int) -> None:
    body = Endless()
    headers = {"Location": f"{URL}/"} if status == 307 else {}
    http.post(URL, status=status, body=io.BufferedReader(body), headers=headers)
    http.post(f"{URL}/", status=201, json={"id": "r-1"})
    create()
    assert body.read_bytes < 2 * 1024**2


class Breaks(io.RawIOBase):
    """An answer's body that breaks off halfway."""

    def __init__(self, error: Exception) -> None:
        self._parts: list[bytes | Exception] = [b'{"id": "r-1", ', error]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectTimeout(f"{URL} {API_KEY}"), "could not be reached in time"),
        (requests.ReadTimeout(f"{URL} {API_KEY}"), "did not answer in time"),
        (requests.ConnectionError(f"{URL} {API_KEY}"), "connection failed or was reset"),
        (requests.exceptions.SSLError(f"{URL} {API_KEY}"), "certificate"),
        (requests.exceptions.ProxyError(f"http://u:{API_KEY}@proxy"), "proxy"),
        (requests.exceptions.ChunkedEncodingError(API_KEY), "the exchange failed"),
        (ConnectionResetError(API_KEY), "the exchange failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_no_answer_may_mean_that_it_was_done(
    http: responses.RequestsMock, error: Exception, words: str
) -> None:
    http.post(URL, body=error)
    outcome = create()
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.retry_after is None
    assert words in outcome.error
    assert API_KEY not in repr(outcome)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("reset by peer"),
        TimeoutError("timed out"),
        ReadTimeoutError(None, URL, "timed out"),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_that_breaks_off_may_mean_that_it_was_done(
    http: responses.RequestsMock, error: Exception
) -> None:
    http.post(URL, status=201, body=io.BufferedReader(Breaks(error)))
    assert isinstance(create(), OutcomeUnknown)


# 429, and when to come back


def limited(http: responses.RequestsMock, **headers: str) -> float:
    """The wait that is made of a 429's headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    http.post(URL, status=429, json={"detail": "Request was throttled."}, headers=named)
    outcome = create()
    assert isinstance(outcome, RateLimited)
    assert "Request was throttled." in outcome.error
    return outcome.retry_after


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("1", 1), (" 17 ", 17), ("59", 59)])
def test_retry_after_in_seconds(http: responses.RequestsMock, text: str, seconds: float) -> None:
    assert limited(http, Retry_After=text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-26 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 09:28:30 +0200", 30),
        ("Wed, 21 Oct 2026 07:28:30 -0000", 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0),  # over already
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ],
)
def test_retry_after_as_a_date_is_read_by_recalls_own_clock(
    http: responses.RequestsMock, text: str, seconds: float
) -> None:
    assert limited(http, Retry_After=text, Date="Wed, 21 Oct 2026 07:28:00 GMT") == seconds


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_retry_after_as_a_date_is_read_by_our_clock_where_recall_shows_none(
    http: responses.RequestsMock, date: str
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=40)
    wait = limited(http, Retry_After=format_datetime(moment, usegmt=True), Date=date)
    assert 30 < wait <= 40


@pytest.mark.parametrize(
    "text",
    [
        *("soon", "-5", "1.5", "1e3", "5 s", "0x10", "٣", "²", "nan", "inf", ",", "\x00"),
        *("Wed, 99 Foo 2026 99:99:99 GMT", "Wed, 21 Oct 2026", "00:00:00", "GMT"),
        "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
        "Wed, 99999999999999999999 Oct 2026 07:28:00 GMT",
        "Wed, 21 Oct 2026 07:28:00 +99999999999999999999",
    ],
)
def test_a_retry_after_that_says_nothing_is_a_short_wait(
    http: responses.RequestsMock, text: str
) -> None:
    assert 0 < limited(http, Retry_After=text) <= 5


def test_no_retry_after_is_a_short_wait(http: responses.RequestsMock) -> None:
    assert 0 < limited(http) <= 5


@pytest.mark.parametrize("text", ["86400", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_does_not_close_the_gate_for_good(
    http: responses.RequestsMock, text: str
) -> None:
    assert limited(http, Retry_After=text) == 3600


# Redirects

LOCATIONS = {
    "relative": "/api/v1/meeting_direct_connect/",
    "absolute": f"{URL}/",
    "without the scheme": "//us-east-1.recall.ai/api/v1/meeting_direct_connect/",
    "the port in words": "https://us-east-1.recall.ai:443/api/v1/meeting_direct_connect/",
    "capitals": "HTTPS://US-EAST-1.Recall.AI/api/v1/meeting_direct_connect/",
}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_redirect_within_the_host_repeats_the_same_post_once(
    http: responses.RequestsMock, status: int, location: str
) -> None:
    http.post(URL, status=status, headers={"Location": location})
    for host in (BASE, f"{BASE}:443"):
        http.post(f"{host}/api/v1/meeting_direct_connect/", status=201, json={"id": "r-1"})
    assert isinstance(create(), Created)
    first, second = calls(http)
    assert (first.method, second.method) == ("POST", "POST")
    assert first.body == second.body
    for name in ("Authorization", "Idempotency-Key", "Content-Type"):
        assert first.headers[name] == second.headers[name]


FOREIGN = {
    "another host": "https://evil.example/api/v1/meeting_direct_connect",
    "another region": "https://eu-central-1.recall.ai/api/v1/meeting_direct_connect",
    "a longer host": "https://us-east-1.recall.ai.evil.example/",
    "another port": "https://us-east-1.recall.ai:8443/api/v1/meeting_direct_connect/",
    "another scheme": "http://us-east-1.recall.ai/api/v1/meeting_direct_connect/",
    "another scheme and its port": "http://us-east-1.recall.ai:443/api/v1/",
    "without the scheme": "//evil.example/",
    "a user like the host": "https://us-east-1.recall.ai@evil.example/",
    "a user and a port like the host": "https://us-east-1.recall.ai:443@evil.example/",
    # Two URL libraries read a backslash differently: one sees this host, the other that one.
    "a backslash": "https://evil.example\\@us-east-1.recall.ai/",
    "a backslash the other way round": "https://us-east-1.recall.ai\\@evil.example/",
    "a file": "file:///etc/passwd",
    "no URL": "https://[",
    "no port": "https://us-east-1.recall.ai:99999/",
    # Headers are bytes, which the HTTP library shows as Latin-1 and may read as UTF-8.
    "a host in other letters": "https://us-east-1.recall。ai/".encode().decode("latin-1"),
    "no letters": "https://\xff/",
}


@pytest.mark.parametrize("location", FOREIGN.values(), ids=FOREIGN)
def test_a_redirect_elsewhere_is_refused_and_the_key_stays_here(
    http: responses.RequestsMock, location: str
) -> None:
    http.post(URL, status=307, headers={"Location": location})
    outcome = create()
    assert [request.url for request in calls(http)] == [URL]
    assert isinstance(outcome, Refused)
    assert "RECALL_BASE_URL" in outcome.error


@pytest.mark.parametrize("location", [f"{URL}/", URL, ""])
def test_redirects_in_a_loop_end(http: responses.RequestsMock, location: str) -> None:
    http.post(URL, status=308, headers={"Location": location})
    http.post(f"{URL}/", status=308, headers={"Location": URL})
    outcome = create()
    assert isinstance(outcome, Refused)
    assert "loop" in outcome.error
    assert len(calls(http)) == 2


def test_a_second_redirect_to_another_host_is_not_followed(http: responses.RequestsMock) -> None:
    http.post(URL, status=308, headers={"Location": f"{URL}/"})
    http.post(f"{URL}/", status=308, headers={"Location": "https://evil.example/"})
    assert isinstance(create(), Refused)
    assert [request.url for request in calls(http)] == [URL, f"{URL}/"]


@pytest.mark.parametrize("status", [300, 303, 304])
def test_a_redirect_that_would_make_a_get_of_it_is_not_followed(
    http: responses.RequestsMock, status: int
) -> None:
    http.post(URL, status=status, headers={"Location": f"{URL}/"})
    assert isinstance(create(), Refused)
    assert len(calls(http)) == 1


# Secrets


@pytest.mark.parametrize(
    ("status", "before"),
    [
        *((status, 0) for status in (200, 201, 400, 401, 403, 409, 429, 500, 503, 507)),
        (400, 480),  # where a person's line is cut
        (400, 16 * 500 - 20),  # where an answer is cut before it is read
    ],
)
def test_no_secret_that_recall_echoes_is_told_not_even_in_part(
    http: responses.RequestsMock, status: int, before: int
) -> None:
    for secret in (API_KEY, SIGNATURE):
        http.reset()
        http.post(URL, status=status, body=f"{' ' * before}{secret} is not right")
        outcome = create()
        assert not isinstance(outcome, Created)
        assert secret[:12] not in repr(outcome)
        assert secret[:12] not in outcome.error


def test_no_secret_in_the_body_or_headers_that_recall_echoes_is_told(
    http: responses.RequestsMock,
) -> None:
    def echo(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        return 400, {}, f"{dict(request.headers)} {request.body!r}"

    http.add_callback(responses.POST, URL, echo)
    outcome = create()
    assert isinstance(outcome, Refused)
    assert "[hidden]" in outcome.error
    assert API_KEY not in repr(outcome)
    assert SIGNATURE not in repr(outcome)


def test_control_characters_of_an_answer_do_not_reach_a_terminal(
    http: responses.RequestsMock,
) -> None:
    http.post(URL, status=400, body=b"\x1b[2J\x07clear\r\nscreen\x00 \xff\xe2\x80\xae")
    outcome = create()
    assert isinstance(outcome, Refused)
    assert outcome.error.isprintable()


def test_the_client_does_not_show_its_key() -> None:
    assert repr(Recall(API_KEY, BASE)) == f"<Recall {BASE}>"


# Retrieving


def test_a_connection_is_retrieved_without_a_body(http: responses.RequestsMock) -> None:
    http.get(f"{URL}/a%2Fb", json={"id": "a/b", "recordings": []})
    assert Recall(API_KEY, BASE).retrieve_direct_connect("a/b") == {"id": "a/b", "recordings": []}
    (request,) = calls(http)
    assert request.body is None
    assert "Idempotency-Key" not in request.headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 502, 503, 507])
def test_what_cannot_be_retrieved_is_said_with_its_status(
    http: responses.RequestsMock, status: int
) -> None:
    http.get(f"{URL}/r-1", status=status, json={"detail": f"No, {API_KEY}."})
    with pytest.raises(RecallError, match=f"Recall answered {status}: .*No, ") as raised:
        Recall(API_KEY, BASE).retrieve_direct_connect("r-1")
    assert raised.value.status == status
    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [requests.ReadTimeout(URL), requests.ConnectionError(URL), ConnectionResetError(URL)],
    ids=lambda error: type(error).__name__,
)
def test_no_answer_to_a_retrieve_is_said(http: responses.RequestsMock, error: Exception) -> None:
    http.get(f"{URL}/r-1", body=error)
    with pytest.raises(RecallError, match="No answer from Recall") as raised:
        Recall(API_KEY, BASE).retrieve_direct_connect("r-1")
    assert raised.value.status is None
    assert URL not in str(raised.value)


@pytest.mark.parametrize("location", FOREIGN.values(), ids=FOREIGN)
def test_a_retrieve_that_is_redirected_elsewhere_keeps_the_key_here(
    http: responses.RequestsMock, location: str
) -> None:
    http.get(f"{URL}/r-1", status=302, headers={"Location": location})
    with pytest.raises(RecallError):
        Recall(API_KEY, BASE).retrieve_direct_connect("r-1")
    assert [request.url for request in calls(http)] == [f"{URL}/r-1"]


def test_an_answer_that_broke_off_does_not_show_the_pre_signed_link_in_it(
    http: responses.RequestsMock,
) -> None:
    link = "https://media.example/r-1.mp4?X-Amz-Signature=0123456789abcdef"
    truncated = json.dumps(
        {
            "id": "r-1",
            "recordings": [{"media_shortcuts": {"video_mixed": {"data": {"download_url": link}}}}],
        }
    )[:-4]
    http.get(f"{URL}/r-1", status=200, body=truncated)
    with pytest.raises(RecallError) as raised:
        Recall(API_KEY, BASE).retrieve_direct_connect("r-1")
    assert "X-Amz-Signature" not in str(raised.value)
