"""Mixed audio that Recall does not list among the shortcuts: row, link, download, archive, page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from config import ROOT
from models import CONNECTS, RECORDINGS
from rtms import clock
from rtms.queue.paced import closed_until
from rtms.recall.rate_limit import RETRIEVE_GATE
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.dashboard import PASSWORD, log_in
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_cli import run

WITH_AUDIO = {"RECORDING_CONFIG": '{"video_mixed_mp4": {}, "audio_mixed_mp3": {}}'}
SOUND = (ROOT / "sandbox/media/audio.mp3").read_bytes()


def live_through(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    """A meeting whose recording is done; its audio is no shortcut."""
    recall.set(processing_seconds=0.0, audio_shortcut=False)
    services.start_dispatcher()
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    make_due(services)
    return stream


def make_due(services: Services) -> None:
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    assert services.dispatcher
    services.dispatcher.wake("refresh")


def media(services: Services) -> dict[str, str]:
    with services.database.read() as connection:
        return connection.scalar(sa.select(RECORDINGS.c.media)) or {}


def lists(recall: RecallSandbox) -> list[Any]:
    return [entry for entry in recall.ledger if entry.path.startswith("/api/v1/audio_mixed")]


@pytest.fixture
def archive(environ: dict[str, str], tmp_path: Path) -> Path:
    environ["ARCHIVE_URL"] = str(tmp_path / "archive")
    return tmp_path / "archive"


@pytest.mark.environ(**WITH_AUDIO)
def test_it_is_in_the_row_and_can_be_had(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    runner: FlaskCliRunner,
    tmp_path: Path,
) -> None:
    live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    assert media(services)["audio_mixed"] == "done"
    link = run(runner, "meetings", "link", "1", "--kind", "audio_mixed").strip()
    assert requests.get(link, timeout=5).content == SOUND
    run(runner, "meetings", "download", "1", "--to", str(tmp_path / "all"))
    (audio,) = (tmp_path / "all").glob("*_audio.mp3")
    assert audio.read_bytes() == SOUND
    asked = len(lists(recall))
    run(runner, "meetings", "link", "1")  # the video needs no list of audio
    assert len(lists(recall)) == asked


@pytest.mark.environ(RECORDING_CONFIG='{"audio_mixed_mp3": {}, "audio_mixed_raw": {}}')
def test_two_formats_are_two_files_wherever_their_pages_end(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    runner: FlaskCliRunner,
    tmp_path: Path,
) -> None:
    recall.set(audio_a_page=1)
    live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    assert media(services)["audio_mixed"] == media(services)["audio_mixed_raw"] == "done"
    run(runner, "meetings", "download", "1", "--to", str(tmp_path))
    assert [path.stat().st_size for path in sorted(tmp_path.glob("*audio*"))] == [8000, 6192]
    link = run(runner, "meetings", "link", "1", "--kind", "audio_mixed_raw").strip()
    assert len(requests.get(link, timeout=5).content) == 8000


@pytest.mark.environ(
    RECORDING_CONFIG='{"audio_mixed_mp3": {}, "audio_mixed_raw": {}}', ADMIN_PASSWORD=PASSWORD
)
def test_both_are_archived_and_on_the_page(
    archive: Path, app: Flask, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    (about,) = wait_for(lambda: list(archive.rglob("*.manifest.json")))
    files = json.loads(about.read_text())["files"]
    sizes = {each["kind"]: each["bytes"] for each in files if "audio" in each["kind"]}
    assert sizes == {"audio_mixed": 6192, "audio_mixed_raw": 8000}
    client = log_in(app)
    assert "/recordings/1/audio_mixed_raw" in client.get("/meetings/1").text
    answer = client.get("/recordings/1/audio_mixed_raw")
    assert answer.status_code == 302
    assert len(requests.get(answer.headers["Location"], timeout=5).content) == 8000


def test_where_it_was_not_asked_for_nobody_looks_it_up(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    assert lists(recall) == []


@pytest.mark.slow
@pytest.mark.environ(**WITH_AUDIO)
def test_trouble_with_the_list_is_in_the_row_and_passes(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="status", status=429, path="audio", method="GET", retry_after=1))
    live_through(recall, zoom, services, rows)
    row = wait_for(lambda: (row := rows.meeting()).last_error and row)
    assert (row.state, "429" in row.last_error) == ("ended", True)
    make_due(services)
    wait_for(lambda: rows.meeting().state == "done")
    first, second = lists(recall)
    assert second.at >= first.answered_at + 0.9  # nobody asks while the gate is closed


@pytest.mark.slow
@pytest.mark.environ(**WITH_AUDIO, RECALL_RETRIEVES_PER_MINUTE="64")
def test_looking_it_up_keeps_the_common_pace(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    ours, audio = [entry for entry in recall.ledger if entry.method == "GET"][-2:]
    assert audio.at - ours.at > 0.9  # a second each, of all processes together
    with services.database.read() as connection:
        opens_at = closed_until(connection, RETRIEVE_GATE)
    assert opens_at
    assert opens_at.timestamp() > audio.at + 0.5


@pytest.mark.environ(**WITH_AUDIO)
def test_it_is_archived(
    archive: Path, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    (about,) = wait_for(lambda: list(archive.rglob("*.manifest.json")))
    (audio,) = archive.rglob("*_audio.mp3")
    assert audio.read_bytes() == SOUND
    told = json.loads(about.read_text())
    assert told["media"]["audio_mixed"] == "done"
    assert {"kind": "audio_mixed", "file": audio.name, "bytes": len(SOUND)} in told["files"]


@pytest.mark.environ(RECORDING_CONFIG='{"audio_mixed_mp3": {}}', ADMIN_PASSWORD=PASSWORD)
def test_it_plays_on_the_page_and_can_be_downloaded_there(
    app: Flask, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    services.database.write(  # as where no video was asked for
        lambda c: c.execute(RECORDINGS.update().values(media={"audio_mixed": "done"}))
    )
    client = log_in(app)
    page = client.get("/meetings/1").text
    assert '<audio controls preload="metadata" src="/recordings/1/audio_mixed"' in page
    answer = client.get("/recordings/1/audio_mixed")
    assert answer.status_code == 302
    assert requests.get(answer.headers["Location"], timeout=5).content == SOUND
    began = time.monotonic()
    assert client.get("/recordings/1/audio_mixed/why").json["to_be_had"]  # type: ignore[index]
    assert time.monotonic() - began < 4
