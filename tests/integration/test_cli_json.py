"""With --json a command answers JSON on stdout, whatever happens, and with the same keys."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner

from config import ROOT
from models import CONNECTS
from rtms import clock
from rtms.cli.events import events as events_group
from rtms.cli.meetings import meetings as meetings_group
from rtms.cli.streams import streams as streams_group
from rtms.cli.system import db as db_group
from rtms.cli.users import users as users_group
from rtms.db.database import Database
from rtms.recall.client import Recall
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.databases import on_one_engine
from tests.integration.conftest import wait_for

# Every command that takes --json, as somebody would type it.
COMMANDS = [
    ("meetings", "list"),
    ("meetings", "show", "1"),
    ("meetings", "retry", "1"),
    ("meetings", "restart", "1"),
    ("meetings", "refresh", "1"),
    ("meetings", "link", "1"),
    ("meetings", "download", "1"),
    ("meetings", "download", "--all-done"),
    ("meetings", "transcript", "1"),
    ("meetings", "prune", "--yes"),
    ("streams", "list"),
    ("streams", "start", "85551234567"),
    ("streams", "stop", "85551234567"),
    ("users", "list"),
    ("users", "erase", "a-user", "--yes"),
    ("events", "list"),
    ("events", "show", "1"),
    ("events", "replay", "1"),
    ("events", "prune", "--yes"),
    ("db", "upgrade"),
    ("db", "current"),
    ("doctor",),
]
# Without the credentials of a Server-to-Server OAuth app, these do nothing.
CREDENTIALS = {f"ZOOM_S2S_{name}": "x" for name in ("ACCOUNT_ID", "CLIENT_ID", "CLIENT_SECRET")}
ASKING_ZOOM = ("meetings restart", "streams start", "streams stop")
# The keys of those that answer with an object.
KEYS = {
    "meetings prune": {"deleted", "events", "kept"},
    **{name: {"request_id", "detail"} for name in ASKING_ZOOM},
    "events replay": {"id", "outcome", "detail", "meeting"},
    "events prune": {"deleted"},
    "users erase": {"user_id", "erasure_id", "meetings"},
    "db upgrade": {"before", "revision"},
    "db current": {"revision", "needs", "ok"},
    "doctor": {"ok", "findings"},
}
LISTS = {
    "meetings list",
    "meetings retry",
    "meetings refresh",
    "meetings link",
    "meetings download",
    "meetings transcript",
    "events list",
    "streams list",
    "users list",
}
MISSING = [
    ("meetings", "show", "99"),
    ("events", "show", "99"),
    ("meetings", "link", "99"),
    ("meetings", "transcript", "99"),
    ("events", "replay", "99"),
]


def name_of(command: tuple[str, ...]) -> str:
    return command[0] if command[0] == "doctor" else " ".join(command[:2])


def ask(runner: FlaskCliRunner, *args: str, exit_code: int, **more: Any) -> Any:
    """A command's answer, read from stdout."""
    result = runner.invoke(args=[*args, "--json"], **more)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def check_failure(command: tuple[str, ...], told: Any) -> str:
    """A failure's shape; returns the message."""
    assert isinstance(told, dict)
    message = told.pop("error")
    assert isinstance(message, str) and message
    name = name_of(command)
    if name in LISTS:
        assert told == {}
    else:
        assert set(told) >= KEYS.get(name, {"id"})
    return message


@pytest.fixture
def recorded(services: Services, recall: RecallSandbox, runner: FlaskCliRunner) -> Iterator[Stream]:
    """A meeting that is over, with its recording."""
    recall.set(processing_seconds=0.0)
    services.intake.take(events.started(stream := Stream()))
    services.start_dispatcher()
    wait_for(lambda: ask(runner, "meetings", "list", exit_code=0)[0]["state"] == "connected")
    recall.end_stream(stream.rtms_stream_id)
    services.intake.take(events.stopped(stream))
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    wait_for(lambda: ask(runner, "meetings", "list", exit_code=0)[0]["state"] == "done")
    yield stream


def test_a_command_that_did_its_work_says_that_there_is_no_error(
    recorded: Stream, runner: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        name = name_of(command)
        is_out_of_place = name == "meetings retry"  # nothing has failed
        if name in ASKING_ZOOM:
            assert "ZOOM_S2S" in check_failure(command, ask(runner, *command, exit_code=1))
            continue
        told = ask(runner, *command, exit_code=1 if is_out_of_place else 0)
        if name not in LISTS:
            assert told["error"] is None, name
            assert set(told) >= KEYS.get(name, {"id"}), name
        elif not is_out_of_place and not name.endswith(" list"):
            assert told and all(each.get("error") is None for each in told), name


def test_every_command_that_takes_json_is_looked_at() -> None:
    context = events_group.make_context("flask", ["list"])
    taking = {
        f"{group.name} {name}"
        for group in (meetings_group, streams_group, users_group, events_group, db_group)
        for name in group.list_commands(context)
        if any("--json" in option.opts for option in group.commands[name].params)
    }
    everything = {
        f"{group.name} {name}"
        for group in (meetings_group, streams_group, users_group, events_group, db_group)
        for name in group.list_commands(context)
    }
    assert taking == everything == {name_of(c) for c in COMMANDS} - {"doctor"}


def test_what_is_not_there_is_an_error_with_the_same_keys(
    services: Services, runner: FlaskCliRunner
) -> None:
    for command in MISSING:
        message = check_failure(command, ask(runner, *command, exit_code=1))
        assert "There is no" in message and "99" in message


def test_each_of_several_has_its_own_error(
    recorded: Stream, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    told = ask(runner, "meetings", "download", "1", "99", "--to", str(tmp_path), exit_code=1)
    *good, bad = told
    assert {tuple(sorted(each)) for each in told} == {tuple(sorted(bad))}
    assert (bad["id"], bad["path"]) == (99, None) and "There is no meeting 99" in bad["error"]
    for each in good:
        assert each["error"] is None
        assert Path(each["path"]).stat().st_size == each["bytes"]
    again = ask(runner, "meetings", "download", "1", "--to", str(tmp_path), exit_code=0)
    assert all(each["was_there"] for each in again)
    refreshed = ask(runner, "meetings", "refresh", "1", "99", exit_code=1)
    assert [each["error"] is None for each in refreshed] == [True, False]
    retried = ask(runner, "meetings", "retry", "1", "99", exit_code=1)
    assert all(each["error"] == each["detail"] for each in retried)


def test_recall_away_is_an_error(
    recorded: Stream,
    runner: FlaskCliRunner,
    services: Services,
    recall: RecallSandbox,
    tmp_path: Path,
) -> None:
    services.recall = Recall("key", "http://127.0.0.1:1", timeout=1)
    for name in ("link", "transcript"):
        told = ask(runner, "meetings", name, "1", exit_code=1)
        assert "Recall" in check_failure(("meetings", name), told)
    (told,) = ask(runner, "meetings", "download", "1", "--to", str(tmp_path), exit_code=1)
    assert told["id"] == 1 and "Recall" in told["error"]
    (told,) = ask(runner, "meetings", "refresh", "1", exit_code=1)
    assert "Recall" in told["error"]


WRONG = """
    meetings list --since yesterday
    meetings list --nonsense
    meetings show one
    meetings retry
    meetings download
    meetings transcript
    meetings no-such-command
    meetings prune --older-than 1h
    events prune --older-than soon
    db current surplus
    doctor surplus
"""


def test_wrong_usage_is_an_error_with_the_same_keys(runner: FlaskCliRunner) -> None:
    for line in WRONG.strip().splitlines():
        command = tuple(line.split())
        told = ask(runner, *command, exit_code=2)
        if "no-such-command" in command:
            assert set(told) == {"error"} and "no-such-command" in told["error"]
        else:
            check_failure(command, told)
        assert runner.invoke(args=command).stdout == ""  # without --json: words, on stderr


def test_what_is_not_confirmed_is_an_error_and_the_question_is_not_on_stdout(
    services: Services, runner: FlaskCliRunner
) -> None:
    services.intake.take(events.started(Stream()))
    old = clock.now().replace(year=2020)
    over = {"state": "skipped", "reason": "not_wanted", "due_at": None, "received_at": old}
    services.database.write(lambda c: c.execute(CONNECTS.update().values(over)))
    told = ask(runner, "meetings", "prune", exit_code=1, input="n\n")
    assert "Not confirmed" in check_failure(("meetings", "prune"), told)
    assert ask(runner, "meetings", "prune", exit_code=0, input="y\n")["deleted"] == 1


@pytest.mark.environ(**CREDENTIALS)
def test_a_database_that_is_not_migrated_is_an_error(
    services: Services, runner: FlaskCliRunner
) -> None:
    with services.database.engine.begin() as connection:
        for table in reversed(CONNECTS.metadata.sorted_tables):
            connection.execute(sa.schema.DropTable(table))
        connection.exec_driver_sql("DROP TABLE alembic_version")
    for command in COMMANDS:
        name = name_of(command)
        if name == "db upgrade":
            continue
        told = ask(runner, *command, exit_code=1 if name in ("db current", "doctor") else 4)
        if name == "doctor":
            assert told["ok"] is False and told["error"] is None
        else:
            assert "db upgrade" in check_failure(command, told), name
    assert ask(runner, "db", "upgrade", exit_code=0)["before"] is None


@pytest.fixture
def nowhere() -> Iterator[Database]:
    """A PostgreSQL at an address where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://u:p@127.0.0.1:{taken.getsockname()[1]}/d"
        yield Database(sa.make_url(url))


@pytest.mark.environ(**CREDENTIALS)
def test_a_database_that_is_away_is_an_error(
    services: Services, runner: FlaskCliRunner, nowhere: Database
) -> None:
    services.database = nowhere
    for command in COMMANDS:
        if name_of(command) == "doctor":
            told = ask(runner, *command, exit_code=1)
            assert told["error"] is None and told["ok"] is False
        else:
            assert check_failure(command, ask(runner, *command, exit_code=4))


# One of each group; none gets as far as its own work.
@pytest.mark.parametrize("command", [COMMANDS[1], COMMANDS[9], COMMANDS[-1]], ids=" ".join)
def test_a_missing_configuration_is_an_error(command: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "flask", *command, "--json"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "FLASK_SKIP_DOTENV": "1",
            "PYTHON_DOTENV_DISABLED": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 3
    assert "ZOOM_SECRET_TOKEN" in check_failure(command, json.loads(process.stdout))
    assert process.stderr == ""


def test_what_others_say_stays_in_the_message(services: Services, runner: FlaskCliRunner) -> None:
    """A message with a quote or a line break is JSON all the same."""
    services.config = replace(services.config, connect_window_seconds=1)
    told = ask(runner, "meetings", "list", "--since", 'a "b"\nc', exit_code=2)
    assert '"b"' in told["error"]


@on_one_engine
@pytest.mark.parametrize(
    "args",
    [
        ("meetings", "list", "--limit", str(10**20)),
        ("events", "list", "--limit", str(2**63)),
        ("meetings", "list", "--until", "9999-12-31T23:59:59-12:00"),
        ("events", "list", "--since", "0001-01-01T00:00:00+12:00"),
        ("meetings", "prune", "--older-than", "999999d", "--yes"),
        ("events", "prune", "--older-than", "999999d", "--yes"),
    ],
)
def test_a_number_or_a_moment_out_of_bounds_is_wrong_usage(
    args: tuple[str, ...], runner: FlaskCliRunner
) -> None:
    assert "Invalid value" in ask(runner, *args, exit_code=2)["error"]
