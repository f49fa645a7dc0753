"""A medium that is done or failed after its recording: followed, shown, stored and told, once."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from models import CONNECTS, NOTIFICATIONS
from rtms import clock
from rtms.jobs.follow import job as follow_job
from rtms.jobs.follow.next_state import next_state
from rtms.recall import lookup
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.dashboard import PASSWORD, log_in
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_cli import run
from tests.integration.test_refresh import WITH_SECRET, notify, recordings

TOLD = {"EXTENSIONS": "json", **WITH_SECRET}


def live_through(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, transcript: str | None = None
) -> Stream:
    """A meeting whose recording is done, and whose transcript is not, or not there."""
    recall.set(processing_seconds=0.0)
    services.start_dispatcher()
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    recall.change_medium(stream.rtms_stream_id, "transcript", transcript)
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    look_now(services)
    wait_for(lambda: recordings(services))
    return stream


def look_now(services: Services) -> None:
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    assert services.dispatcher
    services.dispatcher.wake("refresh")


def say(app: Flask, recall: RecallSandbox, event: str, id: str) -> None:
    """Deliver a status webhook about a medium, as Recall does."""
    recording = {"id": recall.connections[0].recording_id, "metadata": {}}
    body = {"event": event, "data": {"data": {"code": event.split(".")[1]}, "recording": recording}}
    assert notify(app, body, message_id=id).status_code == 200


def recording(services: Services) -> Any:
    (one,) = recordings(services)
    return one


def told(services: Services) -> Counter[str]:
    with services.database.read() as connection:
        return Counter(connection.scalars(sa.select(NOTIFICATIONS.c.event)))


@pytest.fixture
def environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {"ARCHIVE_URL": str(tmp_path / "archive"), "ADMIN_PASSWORD": PASSWORD, **environ}


@pytest.mark.slow
@pytest.mark.environ(**TOLD)
def test_a_transcript_made_later_is_followed_shown_stored_and_told(
    app: Flask,
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    runner: FlaskCliRunner,
    tmp_path: Path,
) -> None:
    stream = live_through(recall, zoom, services, rows)
    wait_for(lambda: recording(services).archived_at)
    (manifest,) = (tmp_path / "archive").rglob("*.manifest.json")
    before = {each["file"] for each in json.loads(manifest.read_text())["files"]}
    assert told(services)["transcript_done"] == 0
    assert rows.meeting().due_at is None

    recall.change_medium(stream.rtms_stream_id, "transcript", "processing")
    say(app, recall, "transcript.processing", "one")
    wait_for(lambda: recording(services).media.get("transcript") == "processing")
    row = wait_for(lambda: (row := rows.meeting()).lease_owner is None and row)
    assert row.state == "done"
    assert row.due_at < clock.now() + timedelta(minutes=1)  # it is asked about again

    recall.change_medium(stream.rtms_stream_id, "transcript", "done")
    for id in ("two", "two", "three"):
        say(app, recall, "transcript.done", id)
    wait_for(lambda: "transcript" in (recording(services).archived_media or ()))
    files = {each["file"] for each in json.loads(manifest.read_text())["files"]}
    (transcript,) = files - before
    assert before < files
    assert (manifest.parent / transcript).is_file()
    wait_for(lambda: rows.meeting().due_at is None)
    assert told(services) == {"stream_connected": 1, "recording_done": 1, "transcript_done": 1}
    shown = run(runner, "meetings", "show", "1")
    assert "transcript done" in shown
    assert "transcript" in log_in(app).get("/meetings/1").text.lower()


@pytest.mark.environ(**TOLD)
def test_a_transcript_that_fails_later_leaves_the_meeting_done(
    app: Flask, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    stream = live_through(recall, zoom, services, rows)
    wait_for(lambda: rows.meeting().state == "done")
    recall.change_medium(stream.rtms_stream_id, "transcript", "failed")
    say(app, recall, "transcript.failed", "one")
    wait_for(lambda: told(services)["transcript_failed"])
    assert (rows.meeting().state, told(services)["recording_failed"]) == ("done", 0)


@pytest.mark.environ(**TOLD)
def test_two_that_ask_at_once_tell_it_once(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    stream = live_through(recall, zoom, services, rows)
    wait_for(lambda: (row := rows.meeting()).state == "done" and row.lease_owner is None)
    recall.change_medium(stream.rtms_stream_id, "transcript", "done")
    together, row = Barrier(4), rows.meeting()

    def ask(_: int) -> None:
        together.wait(10)
        follow_job.refresh(
            services.database, services.recall, services.config, row.id, row.recall_id
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert told(services)["transcript_done"] == 1


def test_an_answer_that_was_overtaken_is_not_written_down(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = live_through(recall, zoom, services, rows)
    wait_for(lambda: (row := rows.meeting()).state == "done" and row.lease_owner is None)
    row, ask = rows.meeting(), lookup.look_up

    def slow(*args: Any, **options: Any) -> Any:
        answer = ask(*args, **options)
        monkeypatch.undo()  # somebody else asks later, and is faster
        recall.change_medium(stream.rtms_stream_id, "transcript", "done")
        follow_job.refresh(
            services.database, services.recall, services.config, row.id, row.recall_id
        )
        return answer

    monkeypatch.setattr(follow_job, "look_up", slow)
    follow_job.refresh(services.database, services.recall, services.config, row.id, row.recall_id)
    assert recording(services).media["transcript"] == "done"


def test_a_medium_that_is_never_finished_is_asked_about_for_a_day(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows, "processing")
    wait_for(lambda: recording(services).media.get("transcript") == "processing")
    wait_for(lambda: rows.meeting().lease_owner is None)
    assert (rows.meeting().state, rows.meeting().due_at is None) == ("ended", False)
    row = rows.meeting()
    found = next_state(
        lookup.look_up(services.recall, row.recall_id, audio=0),
        state=row.state,
        reason=None,
        now=clock.now() + timedelta(days=2),
        connected_at=row.connected_at,
        stopped_at=row.stopped_at,
    )
    assert (found.state, found.due_at) == ("done", None)
    assert "transcript" in (found.error or "")


@pytest.mark.environ(RECORDING_CONFIG='{"video_mixed_mp4": {}, "retention": null}')
def test_where_nothing_is_kept_the_meeting_ends_and_says_so(
    app: Flask,
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    runner: FlaskCliRunner,
) -> None:
    live_through(recall, zoom, services, rows)
    row = wait_for(lambda: (row := rows.meeting()).state == "done" and row)
    assert row.due_at is None
    assert recording(services).archive_due_at is None
    assert "Nothing of it was kept" in " ".join(run(runner, "meetings", "show", "1").split())
    assert "Nothing of it was kept" in log_in(app).get("/meetings/1").text


def test_the_topic_is_kept_where_nobody_said_it(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    live_through(recall, zoom, services, rows)
    row = wait_for(lambda: (row := rows.meeting()).state == "done" and row)
    assert (row.topic, row.topic_search) == ("Weekly sync", "weekly sync")
    services.database.write(lambda c: c.execute(CONNECTS.update().values(topic="Zoom's own")))
    look_now(services)
    wait_for(lambda: rows.meeting().due_at is None)
    assert rows.meeting().topic == "Zoom's own"
