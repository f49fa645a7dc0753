"""What Recall has of a connection: everything is an open set, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtms.recall.responses import DirectConnectState, Medium, RecordingState, read_direct_connect

LINK = "https://media.example/a.mp4?X-Amz-Signature=very-secret"


def recording(**fields: Any) -> dict[str, Any]:
    """A recording as Recall documents it, with some fields otherwise."""
    return {
        "id": "rec-1",
        "status": {"code": "done", "sub_code": None, "updated_at": "2026-11-22T10:31:00Z"},
        "created_at": "2026-11-22T09:30:00Z",
        "started_at": "2026-11-22T09:30:01.500000Z",
        "completed_at": "2026-11-22T10:30:00Z",
        "expires_at": "2026-11-29T10:30:00Z",
        "media_shortcuts": {
            "video_mixed": {
                "id": "m-1",
                "status": {"code": "done"},
                "format": "mp4",
                "data": {"download_url": LINK},
            },
            "audio_mixed": None,
            "transcript": {
                "status": {"code": "processing"},
                "data": {"download_url": LINK, "provider_data_download_url": None},
            },
            "participant_events": {
                "status": {"code": "done"},
                "data": {
                    "participant_events_download_url": LINK,
                    "participants_download_url": LINK,
                    "speaker_timeline_download_url": LINK,
                },
            },
            "meeting_metadata": {"status": {"code": "done"}, "data": {"title": "Weekly sync"}},
        },
        **fields,
    }


def read(**fields: Any) -> RecordingState:
    (state,) = read_direct_connect({"recordings": [recording(**fields)]}).recordings
    return state


def shortcuts(**kinds: Any) -> dict[str, Medium]:
    return {medium.kind: medium for medium in read(media_shortcuts=kinds).media}


def test_a_connection_as_documented() -> None:
    body = {
        "id": "r-1",
        "status": {"code": "done", "sub_code": "stream_ended"},
        "recordings": [recording(), recording(id="rec-2", media_shortcuts=None)],
        "metadata": {},
    }
    state = read_direct_connect(body)
    assert (state.status, state.sub_code) == ("done", "stream_ended")
    first, second = state.recordings
    assert first.recall_recording_id == "rec-1"
    assert (first.status, first.sub_code, first.title) == ("done", None, "Weekly sync")
    assert first.started_at == datetime(2026, 11, 22, 9, 30, 1, 500000, tzinfo=UTC)
    assert first.expires_at == datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
    assert first.media_statuses() == {
        "video_mixed": "done",
        "transcript": "processing",
        "participant_events": "done",
        "meeting_metadata": "done",
    }
    links = {medium.kind: list(medium.links) for medium in first.media}
    assert links["video_mixed"] == links["transcript"] == ["download_url"]
    assert len(links["participant_events"]) == 3
    assert links["meeting_metadata"] == []
    assert second.media == ()


@pytest.mark.parametrize(
    ("code", "medium", "over"),
    [
        ("done", "done", True),
        ("done", "failed", True),
        ("done", "processing", False),
        ("failed", "deleted", True),
        ("deleted", "a_new_code", True),
        ("processing", "done", False),
        ("paused", "done", False),
        ("a_new_code", "done", False),
    ],
)
def test_whether_a_recording_is_over(code: str, medium: str, over: bool) -> None:
    kinds = {"video_mixed": {"status": {"code": medium}, "data": None}}
    assert read(status={"code": code}, media_shortcuts=kinds).is_over is over


def test_no_repr_shows_a_link() -> None:
    state = read_direct_connect({"recordings": [recording()]})
    assert "very-secret" not in repr(state)
    assert "download_url" in repr(state.recordings[0].media[0])
    assert hash(state.recordings[0].media[0])


def test_a_kind_nobody_has_heard_of_is_read_like_the_others() -> None:
    media = shortcuts(hologram={"status": {"code": "brewing"}, "data": {"left_download_url": LINK}})
    assert media["hologram"].status == "brewing"
    assert media["hologram"].links == {"left_download_url": LINK}


@pytest.mark.parametrize(
    "body",
    [
        {"status": {"code": "done"}, "data": None},
        {"status": {"code": "done"}},
        {"status": {"code": "done"}, "data": "text"},
        {"status": {"code": "done"}, "data": {"download_url": 7, "": LINK}},
        {"status": {"code": "done"}, "data": {"download_url": ""}},
        {"status": {"code": "done"}, "data": {"download_url_count": "3"}},
    ],
)
def test_a_medium_without_a_link(body: dict[str, Any]) -> None:
    assert shortcuts(video_mixed=body)["video_mixed"].links == {}


@pytest.mark.parametrize("body", [None, [], "done", 7, True])
def test_a_kind_that_is_no_object_is_left_out(body: object) -> None:
    assert shortcuts(video_mixed=body) == {}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "unknown"),
        ({}, "unknown"),
        ({"code": None}, "unknown"),
        ({"code": 7}, "unknown"),
        ({"code": "a\0b"}, "unknown"),
        ({"code": "\ud800"}, "unknown"),
        ({"code": "x" * 1000}, "x" * 255),
        ("done", "done"),
        (["done"], "unknown"),
    ],
)
def test_an_odd_status(status: object, expected: str) -> None:
    assert read(status=status).status == expected


@pytest.mark.parametrize("recording_id", [None, "", 7, "a\nb", "x" * 256, ["rec-1"]])
def test_a_recording_without_a_usable_id_is_skipped(recording_id: object) -> None:
    state = read_direct_connect({"recordings": [recording(id=recording_id), recording()]})
    assert [each.recall_recording_id for each in state.recordings] == ["rec-1"]


def test_a_recording_that_is_listed_twice_is_one() -> None:
    assert len(read_direct_connect({"recordings": [recording(), recording()]}).recordings) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T09:30:00Z", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22T09:30:00", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22T10:30:00+01:00", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1763803800, None),
    ],
)
def test_times(text: object, expected: datetime | None) -> None:
    assert read(started_at=text).started_at == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("週次定例\u3000営業部", "週次定例 営業部"),
        ("جلسه\u200cی هفتگی", "جلسه\u200cی هفتگی"),
        ("\U0001fae8 Friday\u00a0sync", "\U0001fae8 Friday sync"),
        ("two\nlines\0\u202e", "two lines"),
        ("half \ud83d", "half \ufffd"),
        ("x" * 300, "x" * 255),
        ("\u200b", None),
        (7, None),
    ],
)
def test_a_title_is_kept_with_what_cannot_be_shown_replaced(
    title: object, expected: str | None
) -> None:
    about = {"meeting_metadata": {"data": {"title": title}}}
    assert read(media_shortcuts=about).title == expected


def test_a_sub_code_is_shown_and_a_status_is_taken_as_it_is_or_not_at_all() -> None:
    state = read(status={"code": "failed\u200b", "sub_code": "no\u00a0media\n"})
    assert (state.status, state.sub_code) == ("unknown", "no media")


_FIELDS = ["id", "status", "code", "sub_code", "recordings", "media_shortcuts", "data", "format"]
_FIELDS += ["video_mixed", "meeting_metadata", "title", "started_at", "download_url"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(_json, _json)
def test_nothing_raises(body: Any, shortcuts: Any) -> None:
    assert isinstance(read_direct_connect(body), DirectConnectState)
    state = read_direct_connect({"recordings": [{"id": "rec-1", "media_shortcuts": shortcuts}]})
    (found,) = state.recordings
    assert json.dumps(found.media_statuses()).encode()
    assert all(isinstance(medium.links, Mapping) for medium in found.media)
