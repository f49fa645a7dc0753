"""SIGHUP reads .env again, and with settings that cannot be read it changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

from sandbox import Stream, ZoomSandbox, events
from tests.servers import Server, wait_for


def test_a_reload_takes_what_env_says_now(server: Server, zoom: ZoomSandbox, project: Path) -> None:
    server.root = project
    master = server.start()
    assert server.get("/login") == 404  # nobody may log in without ADMIN_PASSWORD
    (project / ".env").write_text("ADMIN_PASSWORD=a-password-of-the-tests\n")
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: server.get("/login") == 200, "the new setting")
    assert zoom.deliver(events.started(Stream())).ok


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
    wait_for(
        lambda: before.isdisjoint(each.pid for each in server.workers(master)), "new processes"
    )
    assert zoom.deliver(events.started(Stream())).ok
