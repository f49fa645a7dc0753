"""SIGHUP reads .env again, and with settings that cannot be read it changes nothing."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sandbox import Stream, ZoomSandbox, events
from tests.servers import Server, new_web_processes, wait_for


def test_a_reload_takes_what_env_says_now(server: Server, zoom: ZoomSandbox, project: Path) -> None:
    server.root = project
    master = server.start()
    assert server.get("/login") == 404  # nobody may log in without ADMIN_PASSWORD
    (project / ".env").write_text("ADMIN_PASSWORD=a-password-of-the-tests\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: server.get("/login") == 200, "the new setting")
    assert zoom.deliver(events.started(Stream())).ok


def test_a_misspelt_variable_is_named_at_the_start_and_at_a_reload(
    server: Server, project: Path
) -> None:
    server.root = project
    (project / ".env").write_text("RECORD_STREAM=first\n")
    master = server.start()
    assert server.log().count("RECORD_STREAM in .env is not a variable of this server") == 1
    (project / ".env").write_text("RECALL_REGOIN=first\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: "RECALL_REGION may be meant" in server.log(), "the other warning")
    server.start_worker()
    assert server.log().count("RECALL_REGION may be meant") == 2


def test_a_reload_of_what_cannot_be_loaded_changes_nothing(
    server: Server, zoom: ZoomSandbox, project: Path
) -> None:
    server.root = project
    master = server.start()
    before = {each.pid for each in server.workers(master)}
    (project / ".env").write_text("RECORD_STREAMS=nonsense\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: "RECORD_STREAMS must be one of all" in server.log(), "the error")
    assert "SIGHUP changes nothing" in server.log()
    assert zoom.deliver(events.started(Stream())).ok
    assert {each.pid for each in server.workers(master)} == before
    (project / ".env").write_text("RECORD_STREAMS=host\n")
    master.send_signal(signal.SIGHUP)
    new_web_processes(server, master, before)
    assert zoom.deliver(events.started(Stream())).ok


def test_a_process_that_is_killed_is_replaced_whatever_env_says_by_now(
    server: Server, zoom: ZoomSandbox, project: Path
) -> None:
    """Somebody is editing it, and has not asked for a reload."""
    server.root = project
    master = server.start()
    wait_for(lambda: server.log().count("Worker ready") == 2, "both processes")
    (project / ".env").write_text("RECORD_STREAMS=nonsense\n")
    server.workers(master)[0].kill()
    wait_for(lambda: server.log().count("Worker ready") == 3, "another process")
    assert zoom.deliver(events.started(Stream())).ok


def test_env_is_read_once_in_a_reload(server: Server, project: Path) -> None:
    server.root = project
    master = server.start()
    before = {each.pid for each in server.workers(master)}
    (project / ".env").write_text("ADMIN_PASSWORD=a-password-of-the-tests\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: "Handling signal: hup" in server.log(), "the reload")
    (project / ".env").write_text("RECORD_STREAMS=nonsense\n")
    new_web_processes(server, master, before)
    assert server.get("/login") == 200


@pytest.mark.parametrize("kind", ["a folder", "no database"])
def test_a_reload_with_a_database_that_cannot_be_used_changes_nothing(
    server: Server, zoom: ZoomSandbox, project: Path, kind: str
) -> None:
    server.root = project
    (project / ".env").write_text(f"DATABASE_URL={server.environ.pop('DATABASE_URL')}\n")
    master = server.start()
    other = project / "other"
    if kind == "a folder":
        other.mkdir()
    else:
        other.write_text("This is not a database. " * 100)
    before = {each.pid for each in server.workers(master)}
    (project / ".env").write_text(f"DATABASE_URL=sqlite:///{other}\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP changes nothing" in server.log(), "the error")
    assert f"{other} cannot be used" in server.log()
    assert zoom.deliver(events.started(Stream())).ok
    assert {each.pid for each in server.workers(master)} == before


UNUSABLE = {
    "EXTENSIONS=nowhere.to_be_found": "nowhere.to_be_found cannot be imported",
    "EXTENSIONS=raises_at_import": "raises_at_import fails while it is imported",
    "EXTENSIONS=exits_at_import": "ended while it created the application",
    "EXTENSIONS=is_killed_at_import": "ended while it created the application",
    "PUBLIC_URL=https://rtms.example.com/metrics": "must not have /metrics as its path",
    "DATABASE_URL=sqlite:///{project}/full.sqlite3": "full.sqlite3 cannot be used",
}


@pytest.mark.parametrize("setting", UNUSABLE)
def test_a_reload_of_what_makes_no_application_changes_nothing(
    server: Server, zoom: ZoomSandbox, project: Path, setting: str
) -> None:
    server.root = project
    (project / "raises_at_import.py").write_text("1 / 0\n")
    (project / "exits_at_import.py").write_text("raise SystemExit\n")
    (project / "is_killed_at_import.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    with closing(sqlite3.connect(project / "full.sqlite3")) as full:
        full.execute("CREATE TABLE meeting_direct_connects (taken)")
    if setting.startswith("DATABASE_URL"):
        (project / ".env").write_text(f"DATABASE_URL={server.environ.pop('DATABASE_URL')}\n")
    master = server.start()
    before = {each.pid for each in server.workers(master)}
    (project / ".env").write_text(setting.format(project=project))
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP changes nothing" in server.log(), "the error")
    assert UNUSABLE[setting] in server.log()
    assert zoom.deliver(events.started(Stream())).ok
    assert {each.pid for each in server.workers(master)} == before


def test_a_reload_does_not_wait_for_processes_that_the_users_modules_start(
    server: Server, project: Path
) -> None:
    server.root = project
    (project / "forks_at_import.py").write_text(
        "import os, time\nif os.fork() == 0:\n    time.sleep(30)\n    os._exit(0)\n"
    )
    master = server.start()
    (project / ".env").write_text(
        "EXTENSIONS=forks_at_import\nADMIN_PASSWORD=a-password-of-tests\n"
    )
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: server.get("/login") == 200, "the new setting", 20)


@pytest.mark.parametrize("gap", [0.005, 0.03])  # seconds
def test_of_two_reloads_the_second_counts(server: Server, project: Path, gap: float) -> None:
    """Whatever the first is doing by then."""
    server.root = project
    master = server.start()
    (project / ".env").write_text("RECORD_STREAMS=host\n")
    master.send_signal(signal.SIGHUP)
    time.sleep(gap)
    (project / ".env").write_text("ADMIN_PASSWORD=a-password-of-the-tests\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: server.get("/login") == 200, "the newer setting")
    assert "SIGHUP changes nothing" not in server.log()


def test_variables_that_gunicorn_is_given_count_from_the_start(server: Server) -> None:
    server.environ["GUNICORN_CMD_ARGS"] = "--env ADMIN_PASSWORD=a-password-of-the-tests"
    server.start()
    assert server.get("/login") == 200
