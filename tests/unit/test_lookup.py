"""Mixed audio that was asked for and is no shortcut is looked up by its recording's id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import responses

from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recall.lookup import look_up
from rtms.recall.recording_config import audio_count
from rtms.recall.responses import DirectConnectState, Medium

BASE = "https://us-east-1.recall.ai"
CONNECT = f"{BASE}/api/v1/meeting_direct_connect/r-1"
AUDIO = f"{BASE}/api/v1/audio_mixed"
KEY = "0123456789abcdef0123456789abcdef01234567"
VIDEO = {"status": {"code": "done"}, "format": "mp4", "data": {"download_url": "https://m/v"}}
BOTH = {"audio_mixed": "mp3", "audio_mixed_raw": "raw"}


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def audio(format: str | None = "mp3", status: str = "done") -> dict[str, Any]:
    link = f"https://media.example/{format}-{status}?signature=x"
    return {"status": {"code": status}, "format": format, "data": {"download_url": link}}


def has(http: responses.RequestsMock, status: str = "done", **shortcuts: Any) -> None:
    """Let Recall have a connection with one recording."""
    recording = {"id": "a/b", "status": {"code": status}, "media_shortcuts": shortcuts}
    http.get(CONNECT, json={"id": "r-1", "status": {"code": "done"}, "recordings": [recording]})


def lists(http: responses.RequestsMock, *results: Any, next: Any = None, **page: Any) -> None:
    http.get(AUDIO, json={"next": next, "previous": None, "results": list(results)}, **page)


def ask(wanted: int = 1) -> DirectConnectState:
    return look_up(Recall(KEY, BASE), "r-1", audio=wanted)


def media(found: DirectConnectState) -> dict[str, Medium]:
    (recording,) = found.recordings
    return {medium.kind: medium for medium in recording.media}


def asked(http: responses.RequestsMock) -> list[str]:
    return [str(call.request.url) for call in http.calls]


def test_it_is_looked_up_by_the_recordings_id(http: responses.RequestsMock) -> None:
    has(http, video_mixed=VIDEO, audio_mixed=None)
    lists(http, audio())
    found = media(ask())
    assert list(found) == ["video_mixed", "audio_mixed"]
    assert (found["audio_mixed"].status, found["audio_mixed"].format) == ("done", "mp3")
    assert found["audio_mixed"].links["download_url"].startswith("https://media.example/mp3-done")
    assert asked(http) == [CONNECT, f"{AUDIO}?recording_id=a%2Fb"]
    request = http.calls[1].request
    assert (request.body, request.headers["Authorization"]) == (None, f"Token {KEY}")


@pytest.mark.parametrize(
    ("wanted", "status", "shortcuts"),
    [
        (0, "done", {"video_mixed": VIDEO}),
        (1, "done", {"audio_mixed": audio()}),
        (1, "done", {"audio_mixed": audio(status="processing")}),
        (1, "processing", {}),
        (1, "deleted", {}),
    ],
    ids=["not asked for", "a shortcut", "a shortcut to come", "not done", "deleted"],
)
def test_it_is_not_looked_up_without_need(
    http: responses.RequestsMock, wanted: int, status: str, shortcuts: dict[str, Any]
) -> None:
    has(http, status, **shortcuts)
    ask(wanted)
    assert asked(http) == [CONNECT]


def test_what_is_still_processing_keeps_the_recording_open(http: responses.RequestsMock) -> None:
    has(http, video_mixed=VIDEO)
    lists(http, audio(status="processing"))
    (recording,) = ask().recordings
    assert not recording.is_over


@pytest.mark.parametrize(
    ("wanted", "shortcut", "results", "expected"),
    [
        (1, None, [audio("mp3"), audio("raw")], BOTH),
        (2, None, [audio("raw"), audio("mp3")], BOTH),
        (2, None, [audio("raw")], {"audio_mixed_raw": "raw"}),
        (1, None, [audio("raw")], {"audio_mixed": "raw"}),
        (1, None, [audio(None)], {"audio_mixed": None}),
        (2, audio("mp3"), [audio("raw"), audio("mp3")], BOTH),
        (2, audio("raw"), [audio("mp3")], {"audio_mixed": "raw", "audio_mixed_mp3": "mp3"}),
        (1, None, ["x", None, 7, [], {}], {"audio_mixed": None}),
        (1, None, [], {}),
    ],
)
def test_each_format_has_a_kind_of_its_own(
    http: responses.RequestsMock,
    wanted: int,
    shortcut: Any,
    results: list[Any],
    expected: dict[str, str | None],
) -> None:
    has(http, audio_mixed=shortcut)
    lists(http, *results)
    found = media(ask(wanted))
    assert {kind: medium.format for kind, medium in found.items()} == expected


def test_of_two_of_a_format_the_one_that_is_done_counts(http: responses.RequestsMock) -> None:
    has(http)
    lists(http, audio(status="failed"), audio(status="done"))
    assert media(ask())["audio_mixed"].status == "done"


def test_pages_are_followed(http: responses.RequestsMock) -> None:
    has(http)
    following = f"{AUDIO}?cursor=2&recording_id=a%2Fb"
    lists(http, audio("mp3"), next=following)
    lists(http, audio("raw"))
    turns: list[int] = []
    found = look_up(
        Recall(KEY, BASE), "r-1", audio=2, take_turn=lambda: turns.append(len(http.calls))
    )
    assert list(media(found)) == ["audio_mixed", "audio_mixed_raw"]
    assert asked(http)[2] == following
    assert turns == [1, 2]  # one before each request after the first


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/api/v1/audio_mixed?cursor=2",
        "https://us-east-1.recall.ai.evil.example/",
        "https://us-east-1.recall.ai@evil.example/",
        "http://us-east-1.recall.ai/api/v1/audio_mixed?cursor=2",
        "https://us-east-1.recall.ai:8443/",
        "//evil.example/",
        "https://evil.example\\@us-east-1.recall.ai/",
        "ftp://us-east-1.recall.ai/",
    ],
)
def test_another_host_is_never_asked(http: responses.RequestsMock, elsewhere: str) -> None:
    has(http)
    lists(http, next=elsewhere)
    with pytest.raises(RecallError, match="another host"):
        ask()
    assert len(asked(http)) == 2
    http.replace(responses.GET, AUDIO, json={"next": elsewhere, "results": [audio()]})
    assert media(ask())["audio_mixed"].status == "done"  # what it said so far is enough
    assert len(asked(http)) == 4


def test_pages_without_end_are_left(http: responses.RequestsMock) -> None:
    has(http)
    lists(http, next=f"{AUDIO}?recording_id=a%2Fb")
    assert media(ask()) == {}
    assert len(asked(http)) == 11


@pytest.mark.parametrize("page", [{"results": None}, {"results": {"a": 1}}, {"next": 7}, {}])
def test_an_odd_page_is_an_empty_one(http: responses.RequestsMock, page: dict[str, Any]) -> None:
    has(http, video_mixed=VIDEO)
    http.get(AUDIO, json=page)
    assert list(media(ask())) == ["video_mixed"]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_list_that_cannot_be_had_keeps_the_video_from_nobody(
    http: responses.RequestsMock, status: int
) -> None:
    has(http, video_mixed=VIDEO)
    http.get(AUDIO, status=status)
    assert list(media(ask())) == ["video_mixed"]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_trouble_that_passes_is_told(http: responses.RequestsMock, status: int) -> None:
    has(http, video_mixed=VIDEO)
    http.get(AUDIO, status=status, headers={"Retry-After": "7"})
    with pytest.raises(RecallError) as raised:
        ask()
    assert (raised.value.status, raised.value.retry_after) == (status, 7.0)


@pytest.mark.parametrize(
    ("config", "kinds", "expected"),
    [
        ({"video_mixed_mp4": {}}, [], 0),
        ({"audio_mixed_mp3": {}}, [], 1),
        ({"audio_mixed_mp3": None}, [], 0),
        ({"audio_mixed_mp3": {}, "audio_mixed_raw": {}}, [], 2),
        ({"audio_mixed_mp3": {}, "audio_mixed_raw": {}}, ["audio_mixed"], 2),
        ({"audio_mixed_mp3": {}}, ["video_mixed", "transcript"], 0),
        ({"audio_separate_mp3": {}}, [], 0),
        ({"video_mixed_mp4": {}}, ["audio_mixed"], 1),  # another configuration may have asked
        ({"audio_mixed_mp3": {}, "retention": None}, [], 0),
    ],
)
def test_how_many_are_asked_for(config: dict[str, Any], kinds: list[str], expected: int) -> None:
    assert audio_count(config, kinds) == expected
