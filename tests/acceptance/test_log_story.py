"""The log tells a meeting's story: few lines, each of which names the meeting, in whichever process
it was written."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from config import Config
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.connect import pending
from sandbox import Fault, RecallSandbox, Stream, ZoomSandbox, events
from tests.servers import Server, wait_for


def lines_about(stream: Stream, *written: str) -> list[dict[str, Any]]:
    """The lines of a JSON log that are about a stream, in the order in which they were written."""
    lines = [json.loads(line) for text in written for line in text.splitlines() if line[:1] == "{"]
    return [line for line in lines if line.get("stream") == stream.rtms_stream_id]


def row_of(server: Server) -> dict[str, Any]:
    (row,) = server.meetings()
    return row


@pytest.mark.environ(LOG_FORMAT="json", LOG_LEVEL="INFO", DISPATCHER="off")
def test_a_troubled_meeting_is_told_in_six_lines_by_three_processes(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    server.start()
    server.start_worker()
    recall.add_fault(Fault(kind="status", status=503, path="create", times=3))
    stream = Stream()
    start = events.started(stream)
    assert all(zoom.deliver(start).ok for _ in range(3))  # one for each subscription
    wait_for(lambda: row_of(server)["state"] == "connected", "the meeting to be connected")
    assert zoom.deliver(events.interrupted(stream)).ok
    assert zoom.deliver(events.stopped(stream)).ok
    recall.end_stream(stream.rtms_stream_id)
    said = ""

    def done() -> bool:
        nonlocal said
        said += server.flask("meetings", "refresh", str(row_of(server)["id"])).stderr
        return bool(row_of(server)["state"] == "done")

    wait_for(done, "the recording to be done")
    story = lines_about(stream, server.log(), said)
    assert [line["event"] for line in story] == [
        "meeting.rtms_started",
        "not connected yet",
        "connected",
        "meeting.rtms_interrupted",
        "meeting.rtms_stopped",
        "recording done",
    ]
    assert {line["row"] for line in story} == {row_of(server)["id"]}
    assert all(line["tracking_id"].startswith("v=2.0;") for line in story)
    # A delivery has a tracking id of its own; what follows from it has the start's.
    ours = [line for line in story if not line["event"].startswith("meeting.")]
    assert {line["tracking_id"] for line in ours} == {story[0]["tracking_id"]}


@pytest.mark.environ(LOG_FORMAT="json", LOG_LEVEL="INFO", DISPATCHER="off")
def test_a_row_that_is_taken_over_from_a_process_that_is_gone_says_so(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox, config: Config
) -> None:
    server.start()
    stream = Stream()
    assert zoom.deliver(events.started(stream)).ok
    database = Database(config.database_url)
    (leased,) = database.write(  # and then the process was killed
        lambda connection: pending.claim(
            connection,
            limit=1,
            owner="gone:1:00000000",
            now=clock.now(),
            seconds=0.5,
            window=timedelta(seconds=60),
        )
    )
    database.dispose()
    server.start_worker()
    wait_for(lambda: row_of(server)["state"] == "connected", "the meeting to be connected")
    (line,) = (
        line
        for line in lines_about(stream, server.log())
        if line["event"] == "taken over from a process that is gone"
    )
    assert (line["of"], line["row"]) == (leased.lease_owner, leased.id)
    assert row_of(server)["taken_over_from"] == leased.lease_owner
