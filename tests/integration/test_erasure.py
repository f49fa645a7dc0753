"""A user who removed the app is erased: from Recall, the archive and every table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from models import CONNECTS, ERASURES, RECORDINGS, Base
from rtms import clock
from rtms.db.engines import sqlite_path
from rtms.jobs.erase import erasures
from rtms.jobs.erase.erasures import next_try
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.conftest import load
from tests.integration.conftest import Rows, Zoom, wait_for

USER = "the-user-who-leaves_1"
REMAINS = "the-user-who-stays_2"
NOTHING = {"meetings": 0, "recordings": 0, "files": 0, "events": 0, "requests": 0}


@pytest.fixture
def environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {"ARCHIVE_URL": str(tmp_path / "archive"), **environ}


@pytest.fixture
def recall(recall: RecallSandbox) -> RecallSandbox:
    recall.set(processing_seconds=0.0)
    return recall


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(erasures, "_FIRST_WAIT", 0.05)
    yield


def deauthorized(user: str = USER, *, retention: str = "false", at: int = 0) -> dict[str, Any]:
    body = load("app_deauthorized__as_published")
    body["event_ts"] = events.now_ms()
    body["payload"] |= {
        "user_id": user,
        "user_data_retention": retention,
        "deauthorization_time": f"2026-11-30T10:00:{at:02}.000Z",
    }
    return body


def erasure(services: Services) -> Any:
    with services.database.read() as connection:
        return connection.execute(sa.select(ERASURES)).one_or_none()


def erased(services: Services) -> Any:
    return wait_for(lambda: (row := erasure(services)) and row.state == "done" and row)


def look_now(services: Services) -> None:
    services.database.write(
        lambda c: c.execute(
            CONNECTS.update().where(CONNECTS.c.due_at.is_not(None)).values(due_at=clock.now())
        )
    )


def start(zoom: Zoom, rows: Rows, user: str, host: str) -> Stream:
    stream = Stream(operator_id=user, host_id=host, topic=f"Talk of {user}")
    before = len(rows.meetings())
    zoom.deliver(events.started(stream))
    zoom.deliver(
        {
            "event": "meeting.started",
            "event_ts": events.now_ms(),
            "payload": {
                "account_id": "an-account",
                "object": {
                    "uuid": stream.meeting_uuid,
                    "id": str(stream.meeting_id),
                    "host_id": host,
                    "topic": stream.topic,
                },
            },
        }
    )
    wait_for(lambda: len(rows.meetings()) > before and rows.meetings()[-1].state == "connected")
    return stream


def finish(
    zoom: Zoom, services: Services, recall: RecallSandbox, *streams: Stream, archived: bool = True
) -> None:
    for stream in streams:
        recall.end_stream(stream.rtms_stream_id)
        zoom.deliver(events.stopped(stream))
    look_now(services)

    def done() -> bool:
        with services.database.read() as connection:
            rows = connection.execute(sa.select(RECORDINGS)).all()
        return len(rows) >= len(streams) and all(row.archived_at or not archived for row in rows)

    wait_for(done)


def tables_with(services: Services, text: str) -> set[str]:
    """The tables of which any column of any row has the text."""
    found = set()
    with services.database.read() as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                if text in json.dumps([str(value) for value in row], ensure_ascii=False):
                    found.add(table.name)
    return found


def assert_nothing_is_left(services: Services, archive: Path, *, erasures: int = 1) -> None:
    """Only the erasures name the user: in the tables, in SQLite's file after VACUUM, and in the
    archive."""
    assert tables_with(services, USER) == {"erasures"}
    if services.database.is_sqlite:
        with services.database.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = sqlite_path(services.database.url).read_bytes()
        # Once in the row, and once in the index of its unique constraint.
        assert content.count(USER.encode()) == 2 * erasures
    for path in archive.rglob("*"):
        assert USER not in path.name
        assert path.is_dir() or USER.encode() not in path.read_bytes()


def test_nothing_of_the_user_is_left_but_the_erasure(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    services.start_dispatcher()
    own = start(zoom, rows, USER, REMAINS)
    hosted = start(zoom, rows, "another-user", USER)
    others = start(zoom, rows, REMAINS, REMAINS)
    finish(zoom, services, recall, own, hosted, others)
    archive = tmp_path / "archive"
    kept = {row.recall_recording_id for row in recordings(services)}
    assert {"meeting_direct_connects", "webhook_events"} <= tables_with(services, USER)
    assert any(USER.encode() in path.read_bytes() for path in archive.rglob("*.manifest.json"))

    assert zoom.deliver(deauthorized()).status_code == 200
    row = erased(services)

    assert_nothing_is_left(services, archive)
    assert row.counts["meetings"] == row.counts["recordings"] == 2
    assert row.counts["files"] >= 6
    assert row.counts["events"] >= 6  # a start, a name and a stop of each
    assert (row.zoom_user_id, row.account_id) == (USER, "AAAAAABBBB")
    assert row.completed_at >= row.requested_at
    deleted = [e for e in recall.ledger if e.method == "DELETE" and e.status == 204]
    assert len(deleted) == 2
    stays = rows.meetings()[2]  # and what belongs to others is untouched
    assert (stays.operator_id, stays.topic) == (REMAINS, f"Talk of {REMAINS}")
    left = {path.name for path in archive.rglob("*") if path.is_file()}
    assert left
    assert sum(any(id in name for name in left) for id in kept) == 1
    signature = load("app_deauthorized__as_published")["payload"]["signature"]
    assert not tables_with(services, signature)


def recordings(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(RECORDINGS)))


def test_a_user_nobody_knows_is_recorded_as_done(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    zoom.deliver(deauthorized())
    services.start_dispatcher()
    row = erased(services)
    assert all(count == 0 for count in row.counts.values())
    assert row.counts.keys() >= NOTHING.keys()
    assert_nothing_is_left(services, tmp_path / "archive")
    assert rows.events()[0].outcome.startswith("accepted: a user removed the app")


def test_a_repeated_deauthorization_is_one_erasure(
    recall: RecallSandbox, zoom: Zoom, services: Services, tmp_path: Path
) -> None:
    services.start_dispatcher()
    body = deauthorized()
    assert zoom.deliver(body).json["outcome"] == "accepted"  # type: ignore[index]
    assert zoom.deliver(body).json["outcome"] == "duplicate"  # type: ignore[index]
    again = {**body, "event_ts": body["event_ts"] + 1}
    assert zoom.deliver(again).json["outcome"] == "accepted"  # type: ignore[index]
    erased(services)
    assert_nothing_is_left(services, tmp_path / "archive")


def test_a_forged_deauthorization_erases_nothing(zoom: Zoom, services: Services) -> None:
    assert zoom.deliver(deauthorized(), token="forged").status_code == 401
    assert erasure(services) is None


def test_retention_that_the_user_allowed_keeps_everything(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    finish(zoom, services, recall, start(zoom, rows, USER, USER))
    assert zoom.deliver(deauthorized(retention="true")).status_code == 200
    assert erasure(services) is None
    assert rows.meeting().operator_id == USER


def test_a_running_meeting_ends_and_is_erased_once_its_recording_is_there(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    services.start_dispatcher()
    stream = start(zoom, rows, USER, USER)
    zoom.deliver(deauthorized())
    assert rows.meeting().state == "ended"
    wait_for(lambda: (row := erasure(services)) and row.attempts > 0)
    assert "not over" in erasure(services).last_error
    assert rows.meeting().operator_id == USER
    finish(zoom, services, recall, stream, archived=False)
    row = erased(services)
    assert row.counts["recordings"] == 1
    assert row.last_error is None
    assert_nothing_is_left(services, tmp_path / "archive")


def test_a_stream_that_is_not_connected_yet_is_not_connected(
    zoom: Zoom, services: Services, rows: Rows
) -> None:
    zoom.deliver(events.started(Stream(operator_id=USER)))
    zoom.deliver(deauthorized())
    assert (rows.meeting().state, rows.meeting().reason) == ("skipped", "stopped_first")


def test_an_erasure_is_tried_again_while_recall_does_not_delete(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    services.start_dispatcher()
    finish(zoom, services, recall, start(zoom, rows, USER, USER))
    recall.add_fault(Fault(kind="status", status=500, path="delete", times=None))
    zoom.deliver(deauthorized())
    wait_for(lambda: erasure(services).attempts >= 2)
    assert "500" in erasure(services).last_error
    assert rows.meeting().operator_id == USER  # the tables come last
    recall.clear_faults()
    erased(services)
    assert_nothing_is_left(services, tmp_path / "archive")


def test_a_recording_that_is_gone_at_recall_is_no_trouble(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    stream = start(zoom, rows, USER, USER)
    finish(zoom, services, recall, stream)
    recall.end_stream(stream.rtms_stream_id, "deleted")
    zoom.deliver(deauthorized())
    assert erased(services).counts["recordings"] == 1


def test_an_erased_event_is_not_replayed(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    finish(zoom, services, recall, start(zoom, rows, USER, USER))
    zoom.deliver(deauthorized())
    erased(services)
    first = rows.events()[0]
    assert (first.payload, first.rtms_stream_id) == ({}, None)
    result = services.intake.replay(first.id)
    assert result
    assert (result.outcome, "erased" in result.detail) == ("rejected", True)
    assert rows.events()[0].outcome.startswith("erased")


def test_waits_grow_and_end_after_ten_days() -> None:
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    late = asked + timedelta(days=10)
    assert next_try(attempts=1, requested_at=asked, now=asked)
    waits = [next_try(attempts=n, requested_at=asked, now=asked) for n in range(1, 40)]
    assert waits == sorted(waits, key=lambda each: each or late)
    assert waits[-1] == asked + timedelta(hours=1)
    assert next_try(attempts=40, requested_at=asked, now=late) is None


def test_users_are_listed_and_erased_by_hand(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    app: Flask,
    tmp_path: Path,
) -> None:
    services.start_dispatcher()
    runner = app.test_cli_runner()
    finish(zoom, services, recall, start(zoom, rows, USER, REMAINS))

    def listed() -> dict[str, Any]:
        answer = runner.invoke(args=["users", "list", "--json"])
        assert answer.exit_code == 0, answer.output
        return {row["user_id"]: row for row in json.loads(answer.stdout)}

    assert {user: row["meetings"] for user, row in listed().items()} == {USER: 1, REMAINS: 1}
    refused = runner.invoke(args=["users", "erase", USER], input="n\n")
    assert refused.exit_code == 1
    assert "with 1 meeting and all recordings" in refused.output
    assert erasure(services) is None
    assert runner.invoke(args=["users", "erase", USER, "--yes"]).exit_code == 0
    erased(services)
    assert_nothing_is_left(services, tmp_path / "archive")
    assert listed()[USER]["erasure"] == "done"
    assert listed()[USER]["counts"]["recordings"] == 1
    shown = runner.invoke(args=["users", "list"]).output
    assert USER in shown
    assert "done" in shown
