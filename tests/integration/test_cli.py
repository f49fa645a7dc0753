"""The commands, as a person and as a script would use them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner
from structlog.testing import capture_logs

from models import ATTEMPTS, CONNECTS, EVENTS, SCHEMA_REVISION
from rtms import clock
from rtms.db.database import Database
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, wait_for

CONTRACT_COLUMNS = {
    "id",
    "rtms_stream_id",
    "meeting_uuid",
    "meeting_id",
    "product",
    "operator_id",
    "is_original_host",
    "server_urls",
    "event_ts",
    "state",
    "reason",
    "recall_id",
    "status",
    "sub_code",
    "attempts",
    "last_error",
    "idempotency_key",
    "due_at",
    "leased_until",
    "lease_owner",
    "received_at",
    "connected_at",
    "interrupted_at",
    "stopped_at",
    "stop_reason",
    "superseded_by",
}


def run(runner: FlaskCliRunner, *args: str, exit_code: int = 0, **more: Any) -> str:
    """Run a command and return what it printed on stdout."""
    result = runner.invoke(args=args, **more)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def fail(services: Services, **values: Any) -> None:
    """Let every row have failed."""
    failed = {"state": "failed", "reason": "refused", "due_at": None, "attempts": 1, **values}
    services.database.write(lambda c: c.execute(CONNECTS.update().values(failed)))


@pytest.fixture
def meetings(services: Services) -> list[Stream]:
    """Three meetings: one pending, one skipped, one with its stop."""
    streams = [Stream(), Stream(product="session"), Stream()]
    for stream in streams:
        services.intake.take(events.started(stream))
    services.intake.take(events.stopped(streams[2]))
    return streams


def test_meetings_list_shows_the_newest_first(
    meetings: list[Stream], runner: FlaskCliRunner
) -> None:
    lines = run(runner, "meetings", "list", env={"COLUMNS": "80"}).splitlines()
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["3", "2", "1"]
    assert all(len(line) <= 80 for line in lines)
    assert str(meetings[0].meeting_id) in lines[-1]


def test_meetings_list_in_json_has_the_tables_columns(
    meetings: list[Stream], runner: FlaskCliRunner
) -> None:
    rows = json.loads(run(runner, "meetings", "list", "--json"))
    assert [row["id"] for row in rows] == [3, 2, 1]
    assert set(rows[0]) >= CONTRACT_COLUMNS
    assert rows[0]["received_at"].endswith("Z")


def test_meetings_list_filters_by_state_and_time(
    meetings: list[Stream], runner: FlaskCliRunner, services: Services
) -> None:
    def ids(*args: str) -> list[int]:
        return [row["id"] for row in json.loads(run(runner, "meetings", "list", "--json", *args))]

    day_ago = clock.now() - timedelta(days=1)
    services.database.write(
        lambda c: c.execute(CONNECTS.update().where(CONNECTS.c.id == 1).values(received_at=day_ago))
    )
    assert ids("--state", "pending") == [1]
    assert ids("--state", "pending", "--state", "skipped") == [3, 2, 1]
    assert ids("--since", "12h") == [3, 2]
    assert ids("--until", "12h") == [1]
    assert ids("--since", f"{day_ago:%Y-%m-%dT%H:%M}", "--until", "1h") == [1]
    assert ids("--limit", "1") == [3]
    assert ids("--state", "done") == []


def test_an_empty_list_says_what_to_expect(app: Flask, runner: FlaskCliRunner) -> None:
    assert "when Zoom starts its stream" in run(runner, "meetings", "list")
    assert run(runner, "meetings", "list", "--json").strip() == "[]"


@on_one_engine
@pytest.mark.parametrize(
    "args",
    [
        ("meetings", "list", "--since", "yesterday"),
        ("meetings", "list", "--state", "lost"),
        ("meetings", "list", "--limit", "0"),
        ("meetings", "show", "one"),
        ("meetings", "show", "\u200e"),
        ("meetings", "show", "9" * 30),
        ("meetings", "retry"),
        ("events", "prune", "--older-than", "1h"),
        ("events", "prune", "--older-than", "soon"),
    ],
)
def test_wrong_usage_exits_with_2(runner: FlaskCliRunner, args: tuple[str, ...]) -> None:
    run(runner, *args, exit_code=2)


@pytest.mark.parametrize(
    "args",
    [
        ("meetings", "show", "99"),
        ("meetings", "retry", "99"),
        ("events", "show", "99"),
        ("events", "replay", "99"),
    ],
)
def test_what_is_not_there_exits_with_1_and_says_so(
    app: Flask, runner: FlaskCliRunner, args: tuple[str, ...]
) -> None:
    result = runner.invoke(args=args)
    assert result.exit_code == 1
    assert "There is no" in result.output


def test_what_cannot_be_seen_of_a_pasted_id_does_not_count(
    meetings: list[Stream], runner: FlaskCliRunner
) -> None:
    stream = meetings[2].rtms_stream_id
    told = json.loads(run(runner, "meetings", "show", "\u200e3\u00a0", "--json"))
    assert told["rtms_stream_id"] == stream
    listed = json.loads(
        run(runner, "events", "list", "--stream", f"\ufeff{stream}\u200b", "--json")
    )
    assert {event["rtms_stream_id"] for event in listed} == {stream}


def test_meetings_show_tells_a_meetings_life(
    meetings: list[Stream], runner: FlaskCliRunner
) -> None:
    shown = run(runner, "meetings", "show", "3")
    assert meetings[2].rtms_stream_id in shown
    assert "over before it could be connected" in " ".join(shown.split())
    told = json.loads(run(runner, "meetings", "show", "3", "--json"))
    assert [event["event"] for event in told["events"]] == [
        "meeting.rtms_started",
        "meeting.rtms_stopped",
    ]
    assert told["recordings"] == []


def test_meetings_retry_puts_a_failed_meeting_back_whatever_its_window(
    recall: RecallSandbox, services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    services.intake.take(events.started(Stream()))
    fail(services, connect_by=clock.now() - timedelta(hours=2))
    services.start_dispatcher()
    assert "pending again" in run(runner, "meetings", "retry", "1")
    row = wait_for(lambda: (row := rows.meeting()).state == "connected" and row)
    assert (row.reason, row.recall_id) == (None, recall.connections[0].id)


def test_meetings_retry_minds_no_other_meeting(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    services.intake.take(events.started(Stream()))
    fail(services)
    services.intake.take(events.started(Stream()))  # live, and nothing to do with it
    assert "pending again" in run(runner, "meetings", "retry", "1")
    assert [row.state for row in rows.meetings()] == ["pending", "pending"]


def test_meetings_retry_does_not_take_two_unnamed_users_for_one(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    stream = Stream()
    first, second = events.started(stream), events.started(stream.beside())
    for start in (first, second):
        del start["payload"]["operator_id"]
    services.intake.take(first)
    fail(services)
    services.intake.take(second)
    assert "pending again" in run(runner, "meetings", "retry", "1")
    assert [row.state for row in rows.meetings()] == ["pending", "pending"]


def test_meetings_retry_is_recorded_and_logged(services: Services, runner: FlaskCliRunner) -> None:
    services.intake.take(events.started(stream := Stream()))
    fail(services)
    with capture_logs() as lines:
        run(runner, "meetings", "retry", "1")
    (line,) = (line for line in lines if line["event"] == "retried by hand")
    assert (line["row"], line["stream"]) == (1, stream.rtms_stream_id)
    with services.database.read() as connection:
        (kept,) = connection.execute(sa.select(ATTEMPTS))
    assert (kept.meeting_direct_connect_id, kept.outcome) == (1, "retried")


def test_meetings_retry_leaves_alone_what_has_not_failed(
    meetings: list[Stream], services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    services.database.write(
        lambda c: c.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == 1)
            .values(state="failed", reason="refused", due_at=None)
        )
    )
    told = json.loads(run(runner, "meetings", "retry", "1", "2", "--json", exit_code=1))
    assert [(one["id"], one["retried"]) for one in told] == [(1, True), (2, False)]
    assert "only failed meetings" in told[1]["detail"]
    assert [row.state for row in rows.meetings()] == ["pending", "skipped", "skipped"]


def test_meetings_retry_does_not_kick_out_a_live_connection_of_the_stream(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    stream = Stream()
    services.intake.take(events.started(stream))
    fail(services)
    services.intake.take(events.started(stream))
    result = runner.invoke(args=["meetings", "retry", "1"])
    assert result.exit_code == 1
    assert "meeting 2 has the same stream" in result.output
    assert [row.state for row in rows.meetings()] == ["failed", "pending"]


def test_events_list_filters(meetings: list[Stream], runner: FlaskCliRunner) -> None:
    def ids(*args: str) -> list[int]:
        return [row["id"] for row in json.loads(run(runner, "events", "list", "--json", *args))]

    assert ids() == [4, 3, 2, 1]
    assert ids("--event", "meeting.rtms_stopped") == [4]
    assert ids("--stream", meetings[2].rtms_stream_id[:8]) == [4, 3]
    assert ids("--outcome", "ignored") == [2]
    lines = run(runner, "events", "list", env={"COLUMNS": "80"}).splitlines()
    assert all(len(line) <= 80 for line in lines)


def test_events_show_prints_the_body_as_it_came(
    meetings: list[Stream], runner: FlaskCliRunner, rows: Rows
) -> None:
    body = rows.events()[0].payload
    assert json.loads(run(runner, "events", "show", "1", "--json"))["payload"] == body
    assert meetings[0].server_urls in run(runner, "events", "show", "1")


def test_events_replay_runs_a_stored_event_through_the_rules_again(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    services.intake.take(events.started(Stream()))
    assert "was duplicate" in run(runner, "events", "replay", "1")
    assert rows.events()[0].outcome.startswith("accepted")  # what came of it at first
    services.database.write(lambda c: c.execute(CONNECTS.delete()))
    told = json.loads(run(runner, "events", "replay", "1", "--json"))
    assert told["outcome"] == "accepted"
    assert rows.meeting().state == "pending"
    assert len(rows.events()) == 1


def test_events_replay_of_a_rejected_event_exits_with_1(
    services: Services, runner: FlaskCliRunner
) -> None:
    services.intake.take({"event": "meeting.rtms_started", "event_ts": 1, "payload": {}})
    assert "rejected" in run(runner, "events", "replay", "1", exit_code=1)


def test_events_prune_asks_and_deletes_old_events_only(
    meetings: list[Stream], services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    old = clock.now() - timedelta(days=31)
    services.database.write(
        lambda c: c.execute(EVENTS.update().where(EVENTS.c.id <= 2).values(received_at=old))
    )
    asked = run(runner, "events", "prune", exit_code=1, input="n\n")
    assert "Delete 2 events older than 30 days?" in asked
    assert len(rows.events()) == 4
    assert json.loads(run(runner, "events", "prune", "--yes", "--json"))["deleted"] == 2
    assert [event.id for event in rows.events()] == [3, 4]
    assert len(rows.meetings()) == 3


def test_db_current_and_upgrade_say_where_the_schema_stands(
    app: Flask, runner: FlaskCliRunner
) -> None:
    assert run(runner, "db", "current").strip() == SCHEMA_REVISION
    assert json.loads(run(runner, "db", "current", "--json"))["ok"] is True
    assert "already" in run(runner, "db", "upgrade")


def test_a_database_that_is_not_migrated_is_named_and_exits_with_4(
    services: Services, runner: FlaskCliRunner
) -> None:
    with services.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE notifications")
        for table in (
            "stream_requests",
            "connect_attempts",
            "recordings",
            "webhook_events",
            "meeting_direct_connects",
            "alembic_version",
        ):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    result = runner.invoke(args=["meetings", "list"])
    assert result.exit_code == 4
    assert "flask db upgrade" in result.output
    run(runner, "db", "current", exit_code=1)


def test_the_shell_has_what_one_wants_at_hand(services: Services, app: Flask) -> None:
    at_hand = app.make_shell_context()
    assert {
        "session",
        "select",
        "recall",
        "MeetingDirectConnect",
        "Recording",
        "WebhookEvent",
        "Gate",
    } <= set(at_hand)
    services.intake.take(events.started(Stream(meeting_id=98765432100)))
    with at_hand["session"] as session:
        (row,) = session.scalars(at_hand["select"](at_hand["MeetingDirectConnect"]))
    assert repr(row).startswith("<MeetingDirectConnect 1: meeting 98765432100 pending")
    assert "recall-api-key-of-the-tests" not in repr(at_hand["recall"])


def test_every_command_has_help(runner: FlaskCliRunner) -> None:
    for group in ("meetings", "events", "db"):
        for name in runner.app.cli.commands[group].commands:  # type: ignore[attr-defined]
            helped = run(runner, group, name, "--help")
            assert len(helped.split("\n\n")[1]) > 20
    assert "SIGTERM" in run(runner, "worker", "--help")


def test_the_commands_read_a_database_of_their_own(services: Services, app: Flask) -> None:
    """A second process sees what the first has committed."""
    services.intake.take(events.started(Stream()))
    other = Database(services.config.database_url)
    with other.read() as connection:
        assert len(connection.execute(CONNECTS.select()).all()) == 1
    other.dispose()
