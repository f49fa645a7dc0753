"""The commands that turn a meeting into files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import requests
import srt
import webvtt
from flask.testing import FlaskCliRunner

from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_cli import run


@pytest.fixture
def meeting(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    """A meeting, numbered 1, that is over and recorded; its row does not know yet."""
    dispatcher = services.start_dispatcher()
    recall.set(processing_seconds=0.0)
    stream = Stream(meeting_id=98765432100)
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    dispatcher.drain(timeout=10)
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    return stream


def test_refresh_asks_recall_now(meeting: Stream, runner: FlaskCliRunner, rows: Rows) -> None:
    assert "Meeting 1 is done" in run(runner, "meetings", "refresh", "1")
    assert rows.meeting().state == "done"
    told = json.loads(run(runner, "meetings", "refresh", "1", "7", "--json", exit_code=1))
    assert [(one["id"], one["state"]) for one in told] == [(1, "done"), (7, None)]


def test_link_prints_a_fresh_link_that_works(
    meeting: Stream, runner: FlaskCliRunner, recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    link = run(runner, "meetings", "link", "1").strip()
    assert requests.get(link, timeout=5).headers["Content-Type"] == "video/mp4"
    recall.expire_links()
    assert requests.get(link, timeout=5).status_code == 403
    again = json.loads(run(runner, "meetings", "link", "1", "--kind", "transcript", "--json"))
    assert requests.get(again[0]["url"], timeout=5).status_code == 200
    assert link not in str(rows.meetings()) + str(rows.events())


def test_download_brings_every_medium_and_skips_what_is_there(
    meeting: Stream, runner: FlaskCliRunner, tmp_path: Path, recall: RecallSandbox
) -> None:
    run(runner, "meetings", "download", "1", "--to", str(tmp_path / "a" / "b"))
    names = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert any(name.endswith("_video.mp4") for name in names)
    assert any(name.endswith("_transcript.json") for name in names)
    assert all(recall.connections[0].recording_id in name for name in names)
    (video,) = (tmp_path / "a" / "b").glob("*_video.mp4")
    original = Path("sandbox/media/meeting.mp4").read_bytes()
    assert video.read_bytes() == original
    again = run(runner, "meetings", "download", "1", "--to", str(tmp_path / "a" / "b"))
    assert again.count("is already downloaded") == len(names)
    media = [entry for entry in recall.ledger if entry.path.startswith("/media")]
    assert len(media) == len(names)
    assert not any(entry.authorization for entry in media)


def test_a_file_is_named_in_full_when_it_comes_and_when_it_is_there(
    meeting: Stream, runner: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = ("meetings", "download", "1", "--kind", "video_mixed", "--to", "a/b")
    (first,) = json.loads(run(runner, *args, "--json"))
    (second,) = json.loads(run(runner, *args, "--json"))
    assert (first["was_there"], second["was_there"]) == (False, True)
    assert first["path"] == second["path"]
    assert Path(first["path"]).parent == tmp_path / "a" / "b"


def test_download_takes_all_that_are_done(
    meeting: Stream, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "all"
    args = ("meetings", "download", "--all-done", "--kind", "video_mixed", "--to", str(folder))
    run(runner, *args)
    assert not folder.exists()
    run(runner, "meetings", "refresh", "1")
    run(runner, *args)
    assert len(list(folder.glob("*_video.mp4"))) == 1
    run(runner, "meetings", "download", exit_code=2)
    run(runner, "meetings", "download", "1", "--all-done", exit_code=2)


@pytest.mark.parametrize("format", ["txt", "vtt", "srt", "json"])
def test_transcript_prints_what_people_and_players_read(
    meeting: Stream, runner: FlaskCliRunner, format: str
) -> None:
    printed = run(runner, "meetings", "transcript", "1", "--format", format)
    if format == "vtt":
        assert len(webvtt.from_buffer(io.StringIO(printed)).captions) > 1
    elif format == "srt":
        assert len(list(srt.parse(printed))) > 1
    elif format == "json":
        assert {"speaker", "start", "end", "text"} <= set(json.loads(printed)[0])
    else:
        assert len(printed.splitlines()) > 1


def test_what_is_not_there_is_said(
    meeting: Stream,
    runner: FlaskCliRunner,
    services: Services,
    tmp_path: Path,
    recall: RecallSandbox,
) -> None:
    def says(*args: str) -> str:
        result = runner.invoke(args=["meetings", *args])
        assert result.exit_code == 1
        return result.output

    assert "There is no meeting 9" in says("link", "9")
    assert "has no holograms" in says("link", "1", "--kind", "holograms")
    assert "has no transcript of recording 2" in says("transcript", "1", "--recording", "2")
    services.intake.take(events.started(Stream(product="session")))
    assert "never connected" in says("download", "2", "--to", str(tmp_path))
    assert "never connected" in says("refresh", "2")
    recall.add_fault(Fault(kind="status", status=404, method="GET", path="retrieve", times=None))
    assert "Recall no longer has meeting 1" in says("link", "1")
    recall.clear_faults()
    recall.add_fault(Fault(kind="status", status=503, method="GET", path="retrieve", times=None))
    assert "Recall answered 503" in says("transcript", "1")


def test_a_recording_that_is_still_processed_has_nothing_to_download_yet(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, runner: FlaskCliRunner
) -> None:
    services.start_dispatcher()
    recall.set(processing_seconds=3600.0)
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    result = runner.invoke(args=["meetings", "link", "1"])
    assert (result.exit_code, "no recording of meeting 1 yet" in result.output) == (1, True)
    recall.end_stream(stream.rtms_stream_id)
    result = runner.invoke(args=["meetings", "link", "1"])
    assert (result.exit_code, "processing" in result.output) == (1, True)


def test_a_download_that_breaks_off_is_kept_and_resumed(
    meeting: Stream, runner: FlaskCliRunner, recall: RecallSandbox, tmp_path: Path
) -> None:
    args = ["meetings", "download", "1", "--kind", "video_mixed", "--to", str(tmp_path)]
    recall.add_fault(Fault(kind="status", status=403, method="GET", path="media", times=None))
    result = runner.invoke(args=args)
    assert result.exit_code == 1
    assert "_video.mp4 was not downloaded" in result.output
    assert not list(tmp_path.glob("*_video.mp4"))
    recall.clear_faults()
    recall.add_fault(Fault(kind="truncated", method="GET", path="media", cut=5000))
    assert runner.invoke(args=args).exit_code == 0
    (video,) = tmp_path.glob("*_video.mp4")
    assert video.read_bytes() == Path("sandbox/media/meeting.mp4").read_bytes()


def test_several_recordings_with_gaps_are_each_told(
    meeting: Stream, runner: FlaskCliRunner, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced, because the stand-in makes one recording a connection."""
    real = services.recall.retrieve_direct_connect

    def several(recall_id: str | None) -> dict[str, object]:
        body = real(recall_id)
        (recording,) = body["recordings"]
        body["recordings"] = [
            {**recording, "id": "without-media", "media_shortcuts": None},
            {**recording, "id": "empty", "media_shortcuts": {"video_mixed": {"data": None}}},
            {**recording, "id": "second"},
            {**recording, "id": "third"},
        ]
        return body

    monkeypatch.setattr(services.recall, "retrieve_direct_connect", several)
    links = json.loads(run(runner, "meetings", "link", "1", "--json"))
    assert [link["recording"] for link in links] == ["second", "third"]
    result = runner.invoke(args=["meetings", "transcript", "1"])
    assert (result.exit_code, "--recording (3, 4)" in result.output) == (1, True)
    assert "Ada Lovelace" in run(runner, "meetings", "transcript", "1", "--recording", "4")
    run(runner, "meetings", "refresh", "1")
    told = json.loads(run(runner, "meetings", "show", "1", "--json"))
    assert [one["recall_recording_id"] for one in told["recordings"]] == [
        "without-media",
        "empty",
        "second",
        "third",
    ]
    assert told["recordings"][0]["media"] == {}
