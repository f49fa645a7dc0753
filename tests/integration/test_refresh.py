"""Following a meeting to its end: what Recall says of it, and how often it is asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from models import CONNECTS, EVENTS, RECORDINGS
from rtms import clock
from rtms.jobs.connect import pending
from rtms.queue import paced
from rtms.recall.rate_limit import RETRIEVE_GATE
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom, wait_for

KEY = base64.b64encode(b"a secret of Recall's webhook endpoint").decode()
OLD_KEY = base64.b64encode(b"the secret before it").decode()
WITH_SECRET = {"RECALL_WEBHOOK_SECRET": f"whsec_{KEY}, whsec_{OLD_KEY}"}


@pytest.fixture
def connected(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    """A stream that is connected, with the dispatcher running."""
    return connect(recall, zoom, services, rows, processing_seconds=0.0)


@pytest.fixture
def processing(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    """The same, with a recording that will be processed for an hour."""
    return connect(recall, zoom, services, rows, processing_seconds=3600.0)


def connect(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, *, processing_seconds: float
) -> Stream:
    services.start_dispatcher()
    recall.set(processing_seconds=processing_seconds)
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    return stream


def make_due(services: Services) -> None:
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    assert services.dispatcher
    services.dispatcher.wake("refresh")


def recordings(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(RECORDINGS).order_by(RECORDINGS.c.id)))


def retrieves(recall: RecallSandbox) -> list[Any]:
    return [entry for entry in recall.ledger if entry.method == "GET"]


def test_after_its_stop_a_meeting_is_done_when_its_recordings_are(
    connected: Stream, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.end_stream(connected.rtms_stream_id)
    before = clock.now()
    zoom.deliver(events.stopped(connected))
    row = rows.meeting()
    assert (row.state, row.recall_id) == ("ended", recall.connections[0].id)
    assert timedelta(seconds=14) < row.due_at - before < timedelta(seconds=20)
    make_due(services)
    row = wait_for(lambda: (row := rows.meeting()).state == "done" and row)
    assert (row.status, row.due_at, row.last_error, row.lease_owner) == ("done", None, None, None)
    (recording,) = recordings(services)
    assert recording.recall_recording_id == recall.connections[0].recording_id
    assert recording.status == "done"
    assert recording.media["video_mixed"] == recording.media["transcript"] == "done"
    assert recording.expires_at > recording.completed_at
    assert "http" not in str(recording)


def test_while_a_recording_is_processed_the_row_is_looked_at_again(
    processing: Stream, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.end_stream(processing.rtms_stream_id)
    zoom.deliver(events.stopped(processing))
    make_due(services)
    wait_for(lambda: recordings(services))
    row = rows.meeting()
    assert (row.state, row.status) == ("ended", "done")
    assert row.due_at > clock.now() + timedelta(seconds=10)
    assert recordings(services)[0].status == "processing"


def test_where_the_stop_was_lost_recall_tells_that_the_stream_is_over(
    processing: Stream, recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    recall.end_stream(processing.rtms_stream_id)
    make_due(services)
    row = wait_for(lambda: (row := rows.meeting()).state == "ended" and row)
    assert (row.stopped_at, row.stop_reason) == (None, None)
    assert row.due_at < clock.now() + timedelta(minutes=1)


def test_a_lost_stop_does_not_leave_a_row_open(
    connected: Stream, recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    row = rows.meeting()
    assert timedelta(minutes=4) < row.due_at - clock.now() < timedelta(minutes=6)
    recall.end_stream(connected.rtms_stream_id)
    make_due(services)
    assert wait_for(lambda: rows.meeting().state == "done")


@pytest.mark.parametrize("ending", ["failed", "deleted"])
def test_a_recording_that_failed_or_was_deleted_is_shown_as_such(
    connected: Stream,
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    ending: Any,
) -> None:
    recall.end_stream(connected.rtms_stream_id, ending=ending, sub_code="no_media")
    zoom.deliver(events.stopped(connected))
    make_due(services)
    row = wait_for(lambda: (row := rows.meeting()).state in ("done", "failed") and row)
    assert recordings(services)[0].status == ending
    if ending == "failed":
        assert (row.state, row.reason) == ("failed", "recall_failed")
        assert "no_media" in row.last_error
    else:
        assert (row.state, row.reason) == ("done", None)


def test_what_recall_no_longer_has_is_not_asked_for_again(
    connected: Stream, recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="status", status=404, path="retrieve", method="GET", times=None))
    make_due(services)
    row = wait_for(lambda: (row := rows.meeting()).state == "failed" and row)
    assert (row.reason, row.due_at) == ("recall_failed", None)
    assert "does not have it any more" in row.last_error


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_trouble_with_recall_is_in_the_row_and_passes(
    connected: Stream, recall: RecallSandbox, services: Services, rows: Rows, status: int
) -> None:
    fault = Fault(kind="status", status=status, path="retrieve", method="GET", retry_after=1)
    recall.add_fault(fault)
    make_due(services)
    row = wait_for(lambda: (row := rows.meeting()).last_error and row)
    assert (row.state, row.lease_owner) == ("connected", None)
    assert str(status) in row.last_error
    make_due(services)
    wait_for(lambda: rows.meeting().last_error is None)
    first, second = retrieves(recall)
    assert status != 429 or second.at >= first.answered_at + 0.9


@pytest.mark.slow
@pytest.mark.environ(RECALL_RETRIEVES_PER_MINUTE="120")
def test_all_processes_together_keep_the_pace_and_the_last_ended_go_first(
    recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    now = clock.now()
    for number in range(40):
        services.intake.take(events.started(Stream()))
        services.database.write(
            lambda c, number=number: c.execute(  # type: ignore[misc]
                CONNECTS.update()
                .where(CONNECTS.c.id == number + 1)
                .values(
                    state="ended",
                    recall_id=f"gone-{number}",
                    due_at=now,
                    stopped_at=now - timedelta(hours=1) + timedelta(seconds=number),
                )
            )
        )
    others = [Services.from_config(services.config) for _ in range(2)]
    began = time.monotonic()
    for one in (services, *others):
        one.start_dispatcher()
    wait_for(lambda: len(retrieves(recall)) >= 12)
    for one in others:
        assert one.dispatcher and one.dispatcher.drain(timeout=10)
        one.recall.close()
        one.database.dispose()
    asked = retrieves(recall)
    elapsed = time.monotonic() - began
    assert len(asked) <= 8 + elapsed * 2  # two leases of four, then two a second
    numbers = [int(entry.path.rsplit("-", 1)[1]) for entry in asked]
    assert set(numbers[:4]) == {39, 38, 37, 36}


@pytest.mark.slow
@pytest.mark.environ(RECALL_TIMEOUT_SECONDS="2")
def test_a_connect_does_not_wait_behind_refreshes(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="hang", path="retrieve", method="GET", times=None))
    services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meetings()[0].state == "connected")
    make_due(services)
    wait_for(lambda: retrieves(recall))
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meetings()[1].state == "connected")
    assert len(retrieves(recall)) == 1
    recall.clear_faults()
    assert services.dispatcher
    services.dispatcher.drain(timeout=0)


# ---- status webhooks


def notify(
    app: Flask,
    body: dict[str, Any],
    *,
    key: str = KEY,
    age: float = 0,
    prefix: str = "webhook",
    message_id: str = "msg_1",
    headers: dict[str, str] | None = None,
) -> TestResponse:
    """Send a status webhook as Recall does (Standard Webhooks, written out)."""
    raw, stamp = json.dumps(body), str(int(time.time() - age))
    digest = hmac.new(
        base64.b64decode(key), f"{message_id}.{stamp}.{raw}".encode(), hashlib.sha256
    ).digest()
    signed = {
        f"{prefix}-id": message_id,
        f"{prefix}-timestamp": stamp,
        f"{prefix}-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return app.test_client().post(
        "/recall-webhook", data=raw, headers={**signed, **(headers or {})}
    )


def about(**data: Any) -> dict[str, Any]:
    return {"event": "recording.done", "data": {"data": {"code": "done"}, **data}}


def follow(services: Services, *, stream: str = "stream-1") -> None:
    """A connected row, numbered 1, that is not due for long."""
    services.intake.take(events.started(Stream(rtms_stream_id=stream)))
    services.database.write(
        lambda c: c.execute(
            CONNECTS.update().values(
                state="connected", recall_id="recall-1", due_at=clock.now() + timedelta(days=1)
            )
        )
    )
    services.database.write(
        lambda c: c.execute(
            RECORDINGS.insert().values(
                meeting_direct_connect_id=1,
                recall_recording_id="recording-1",
                status="processing",
                media={},
            )
        )
    )


@pytest.mark.environ(**WITH_SECRET)
@pytest.mark.parametrize(
    "body",
    [
        about(meeting_direct_connect={"id": "recall-1"}),
        about(recording={"id": "recording-1"}),
        about(
            recording={
                "id": "new",
                "metadata": {"meeting_direct_connect_id": "1", "rtms_stream_id": "stream-1"},
            }
        ),
        about(
            meeting_direct_connect={
                "metadata": {"meeting_direct_connect_id": "1", "rtms_stream_id": "stream-1"}
            }
        ),
    ],
    ids=["its id", "a recording's id", "a recording's metadata", "its metadata"],
)
def test_a_status_webhook_makes_its_row_due(
    app: Flask, services: Services, rows: Rows, body: dict[str, Any]
) -> None:
    follow(services)
    for _ in range(3):  # at least once
        assert notify(app, body).status_code == 200
    assert rows.meeting().due_at <= clock.now()
    (_, event) = rows.events()
    assert (event.source, event.dedupe_key) == ("recall", "msg_1")
    assert (event.rtms_stream_id, event.payload) == ("stream-1", body)


@pytest.mark.environ(**WITH_SECRET)
@pytest.mark.parametrize(
    "body",
    [
        about(),
        {"event": "bot.done", "data": None},
        {"event": "something.new"},
        about(recording={"id": "nobody's"}),
        about(recording=[], meeting_direct_connect="x"),
        # Another server of the same workspace has a row 1 too.
        about(recording={"metadata": {"meeting_direct_connect_id": "1", "rtms_stream_id": "else"}}),
        about(recording={"metadata": {"meeting_direct_connect_id": "9" * 400}}),
    ],
)
def test_an_unknown_status_webhook_is_recorded_and_changes_nothing(
    app: Flask, services: Services, rows: Rows, body: dict[str, Any]
) -> None:
    follow(services)
    due_at = rows.meeting().due_at
    assert notify(app, body).status_code == 200
    assert rows.meeting().due_at == due_at
    assert rows.events()[-1].outcome.startswith("unknown")


@pytest.mark.environ(**WITH_SECRET)
def test_a_link_in_a_status_webhook_is_not_stored(app: Flask, rows: Rows) -> None:
    link = "https://media.example/a.mp4?signature=secret"
    assert notify(app, about(video_mixed={"data": {"download_url": link}})).status_code == 200
    assert "media.example" not in str(rows.events())


@on_one_engine
@pytest.mark.environ(**WITH_SECRET)
@pytest.mark.parametrize(
    "how",
    [{}, {"prefix": "svix"}, {"key": OLD_KEY}, {"age": 200}, {"age": -200}],
    ids=["webhook", "svix", "the older secret", "a little late", "a little early"],
)
def test_who_is_recall_gets_in(app: Flask, how: dict[str, Any]) -> None:
    assert notify(app, about(), **how).status_code == 200


@on_one_engine
@pytest.mark.environ(**WITH_SECRET)
@pytest.mark.parametrize(
    "how",
    [
        {"key": base64.b64encode(b"another").decode()},
        {"age": 400},
        {"age": -400},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-signature": "v1"}},
        {"headers": {"webhook-signature": "v1,é"}},
        {"headers": {"webhook-signature": "v2,AAAA"}},
        {"headers": {"webhook-timestamp": "now"}},
        {"headers": {"webhook-timestamp": "nan"}},
        {"headers": {"webhook-id": "msg_2"}},
        {"prefix": "other"},
    ],
)
def test_who_is_not_recall_gets_401(app: Flask, rows: Rows, how: dict[str, Any]) -> None:
    answer = notify(app, about(), **how)
    assert answer.status_code == 401
    assert answer.json and KEY not in answer.text
    assert rows.events() == []


@pytest.mark.environ(**WITH_SECRET)
def test_one_without_any_signature_is_told_the_cause(app: Flask) -> None:
    with capture_logs() as log:
        answer = app.test_client().post("/recall-webhook", json=about())
    assert answer.status_code == 401
    assert "create the workspace secret in Recall's dashboard" in answer.text
    assert "create the workspace secret in Recall's dashboard" in log[-1]["error"]


@pytest.mark.environ(**WITH_SECRET)
def test_a_status_webhook_that_is_no_event_gets_400(app: Flask) -> None:
    assert notify(app, {"no": "event"}).status_code == 400


@pytest.mark.environ(**WITH_SECRET)
def test_a_status_webhook_that_is_too_large_gets_413(app: Flask) -> None:
    assert notify(app, about(x="x" * 300_000)).status_code == 413


def test_without_a_secret_there_is_no_such_route(app: Flask) -> None:
    assert notify(app, about()).status_code == 404


def test_the_retrieve_gate_is_not_the_create_gate(services: Services) -> None:
    until = clock.now() + timedelta(hours=1)
    services.database.write(lambda c: paced.close(c, RETRIEVE_GATE, until=until))
    services.intake.take(events.started(Stream()))
    with services.database.read() as connection:
        due = pending.QUEUE.next_due(connection)
    assert due is not None
    assert due <= clock.now()
    assert EVENTS.name == "webhook_events"
