"""File names sort, explain themselves, and lead nowhere else, whatever Recall sends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtms.recall.responses import Medium
from rtms.recordings.filenames import UnsafeName, file_name, inside, kind_and_extension, label

AT = datetime(2026, 11, 22, 9, 30, 59, tzinfo=UTC)
ID = "6ee6b2e5-5a6e-4a3c-8e38-4a4bfb8c0b4e"


def medium(kind: str, format: str | None = None, **links: str) -> Medium:
    return Medium(kind=kind, status="done", format=format, links=MappingProxyType(links))


def test_a_name_says_when_what_and_which() -> None:
    name = file_name(AT, "Weekly sync: Q3/Q4", ID, "video_mixed", ".mp4")
    assert name == f"2026-11-22T0930Z_Weekly-sync-Q3-Q4_{ID}_video.mp4"


def test_the_time_is_utc() -> None:
    there = AT.astimezone(timezone(timedelta(hours=9)))
    assert file_name(there, "a", ID, "video", ".mp4") == file_name(AT, "a", ID, "video", ".mp4")
    with pytest.raises(ValueError, match="without a time zone"):
        file_name(AT.replace(tzinfo=None), "a", ID, "video", ".mp4")


@pytest.mark.parametrize(
    ("topic", "shown"),
    [
        (None, "meeting"),
        ("", "meeting"),
        ("...", "meeting"),
        ("../../etc/passwd", "etc-passwd"),
        ("..\\..\\windows", "windows"),
        ("/ab+c/DEF//ghi+jkl/mnop==", "ab-c-DEF-ghi-jkl-mnop"),
        ("--help", "help"),
        (".hidden", "hidden"),
        ("a\0b\nc\x1b[31m", "a-b-c-31m"),
        ("\u202ecod.exe\u200f", "cod-exe"),
        ("⁄／．．／", "meeting"),
        ("週次 ミーティング", "週次-ミーティング"),
        ("Zoë's café", "Zoë-s-café"),
        ("CON", "CON"),  # harmless behind a date
        ("\ud800x", "x"),
        ("週次定例\u3000営業部", "週次定例-営業部"),
        ("جلسه\u200cی هفتگی", "جلسهی-هفتگی"),
        ("Réunion\u00a0: budget\u202f!", "Réunion-budget"),
        ("👩\u200d💻 Dev ❤\ufe0f daily", "Dev-daily"),
        ("\u200fפגישה שבועית", "פגישה-שבועית"),
        ("\U0001fae8 Friday sync", "Friday-sync"),
        ("1\ufe0f\u20e3 on one", "1\u20e3-on-one"),
        ("❤\ufe0f🏴\U000e0067\U000e007f", "meeting"),
    ],
)
def test_topics(topic: str | None, shown: str) -> None:
    assert file_name(AT, topic, ID, "video", ".mp4").split("_")[1] == shown


def test_without_a_beginning_it_sorts_last() -> None:
    names = [file_name(None, "a", ID, "video", ".mp4"), file_name(AT, "z", ID, "video", ".mp4")]
    assert sorted(names) == [names[1], names[0]]


def test_ids_that_look_alike_when_made_safe_stay_apart() -> None:
    ids = ["a/b", "a_b", "a-b", "a.b", "x" * 90, "x" * 91, "", "/", "CON"]
    assert len({file_name(AT, "t", each, "video", ".mp4") for each in ids}) == len(ids)


@given(st.text(max_size=400) | st.none(), st.text(max_size=400), st.text(max_size=400), st.text())
def test_any_name_is_safe(topic: str | None, recording_id: str, kind: str, extension: str) -> None:
    name = file_name(AT, topic, recording_id, kind, extension)
    assert len(name.encode()) <= 200
    assert re.fullmatch(r"2026-11-22T0930Z_[\w\W]+_[\w\W]+_[\w\W]+\.[a-z0-9]{1,10}", name)
    assert not set(name) & set('/\\:*?"<>|\0 ') and name.isprintable() and ".." not in name
    assert inside(Path("/tmp"), name).parent == Path("/tmp").resolve()
    assert file_name(AT, topic, recording_id, kind, extension) == name


@pytest.mark.parametrize(
    ("found", "link", "expected"),
    [
        (medium("video_mixed"), "download_url", ("video", ".mp4")),
        (medium("video_mixed", "webm"), "download_url", ("video", ".webm")),
        (medium("audio_mixed", "mp3"), "download_url", ("audio", ".mp3")),
        (medium("audio_mixed", "raw"), "download_url", ("audio", ".raw")),
        (medium("audio_mixed"), "download_url", ("audio", ".mp3")),
        (medium("transcript"), "download_url", ("transcript", ".json")),
        (
            medium("transcript"),
            "provider_data_download_url",
            ("transcript-provider-data", ".json"),
        ),
        (
            medium("participant_events"),
            "participant_events_download_url",
            ("participant-events", ".json"),
        ),
        (medium("participant_events"), "participants_download_url", ("participants", ".json")),
        (
            medium("participant_events"),
            "speaker_timeline_download_url",
            ("speaker-timeline", ".json"),
        ),
        (
            medium("hologram", left_download_url="https://x.example/a/b.GLB?s=.sig"),
            "left_download_url",
            ("hologram-left", ".glb"),
        ),
        (
            medium("hologram", download_url="https://x/a.m/../b"),
            "download_url",
            ("hologram", ".bin"),
        ),
        (medium("hologram", download_url="https://[x"), "download_url", ("hologram", ".bin")),
        (medium("video", download_url="https://x/a.mp4"), "download_url", ("video-other", ".mp4")),
    ],
)
def test_kinds(found: Medium, link: str, expected: tuple[str, str]) -> None:
    assert kind_and_extension(found, link) == expected
    kind, extension = expected
    assert file_name(AT, "t", ID, kind, extension).endswith(f"_{kind}{extension}")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\0b"])
def test_nothing_leads_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeName):
        inside(tmp_path, name)


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeName, match="leads outside"):
        inside(tmp_path, "a.mp4")
    assert inside(tmp_path, "b.mp4") == tmp_path.resolve() / "b.mp4"


def test_a_label_says_when_and_what_and_not_which_recording() -> None:
    began = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    recording = "5f6a0b9e-7d52-4f0c-9e55-0b4a8ac2c111"
    name = file_name(began, "Weekly sync", recording, "video_mixed", ".mp4")
    assert label(name) == "2026-11-22 09:30 Weekly-sync, video"
    undated = file_name(None, None, "a_b", "some_new_kind", ".bin")
    assert label(undated).startswith("undated meeting, some-new-kind")
