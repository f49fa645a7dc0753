"""Text that means something to a database, a file system, a terminal or a log."""

from __future__ import annotations

import io
import json
import re
import time
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from app import create_app
from config import Config
from models import CONNECTS
from rtms.services import Services, get_services
from sandbox import RecallSandbox, Stream, events
from sandbox.zoom import sign, stringify
from tests.conftest import ENVIRON, database_url
from tests.integration.conftest import Rows, app, environ, runner, services, wait_for

__all__ = ["app", "database_url", "environ", "runner", "services"]  # on each engine


def deliver(app: Flask, body: dict[str, Any], **headers: str) -> int:
    raw, stamp = stringify(body), str(int(time.time()))
    signed = {
        "x-zm-request-timestamp": stamp,
        "x-zm-signature": sign(ENVIRON["ZOOM_SECRET_TOKEN"], stamp, raw),
    }
    client = app.test_client()
    answer = client.post("/zoom-webhook", data=raw, headers={**signed, **headers})
    return answer.status_code


# ---- SQL

SQL = [
    "'; DROP TABLE meeting_direct_connects; --",
    "' OR '1'='1",
    "x' UNION SELECT 1, sqlite_version() --",
    "$$; SELECT pg_sleep(10); $$",
    "\\'; DELETE FROM webhook_events; --",
    "%(id)s :id ? $1 {0} %s %%",
    "%",
    "_______",
]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_an_id_is_only_text(
    app: Flask, runner: FlaskCliRunner, rows: Rows, text: str
) -> None:
    other = Stream()
    stream = Stream(rtms_stream_id=text, meeting_uuid=text, operator_id=text, server_urls=text)
    bodies = [events.started(other), events.started(stream), events.interrupted(stream)]
    bodies += [events.stopped(stream), events.concurrency_limited(stream), {"event": text}]
    assert {deliver(app, body, **{"x-zm-trackingid": text}) for body in bodies} == {200}
    (bystander, row) = rows.meetings()
    assert (bystander.state, bystander.stopped_at) == ("pending", None)
    for column in ("rtms_stream_id", "meeting_uuid", "operator_id", "server_urls", "tracking_id"):
        assert row._mapping[column] == text
    assert len(rows.events()) == len(bodies)
    for option, count in (("--stream", 3), ("--event", 1)):
        listed = runner.invoke(args=["events", "list", option, text, "--json"])
        assert listed.exit_code == 0, listed.output
        assert len(json.loads(listed.stdout)) == count, option


def test_a_moment_at_the_end_of_the_calendar_spoils_no_row_for_readers(
    services: Services, rows: Rows
) -> None:
    """PostgreSQL tells moments in the session's time zone, whatever zone the database is set to."""
    if not services.database.is_sqlite:
        name = services.config.database_url.database
        zone = sa.text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")
        services.database.write(lambda connection: connection.execute(zone))
        services.database.dispose()
    services.intake.take(events.started(Stream()))
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)  # what an earlier version took from Zoom
    services.database.write(
        lambda connection: connection.execute(CONNECTS.update().values(stopped_at=last))
    )
    (row,) = rows.meetings()
    assert row.stopped_at == last


# ---- paths

TRAVERSALS = [
    "../../../../evil",
    "/etc/evil",
    "..\\..\\evil",
    "a\u2044..\u2044evil",
    "~/evil",
    "CON",
    "-rf",
    ".",
    "..",
    "a" * 255,
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_of_zooms_or_recalls_leads_out_of_the_folder(
    recall: RecallSandbox,
    app: Flask,
    services: Services,
    rows: Rows,
    runner: FlaskCliRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    recall.set(processing_seconds=0.0)
    stream = Stream(meeting_uuid=name, meeting_id=name)
    dispatcher = services.start_dispatcher()
    assert deliver(app, events.started(stream)) == 200
    wait_for(lambda: rows.meeting().state == "connected")
    dispatcher.drain(timeout=10)
    recall.end_stream(stream.rtms_stream_id)
    retrieve = services.recall.retrieve_direct_connect

    def hostile(recall_id: str | None) -> dict[str, Any]:
        """What Recall has, under names of an attacker's."""
        body = retrieve(recall_id)
        for recording in body["recordings"]:
            recording["id"] = name
            shortcuts = recording["media_shortcuts"]
            shortcuts["meeting_metadata"] = {"data": {"title": name}}
            shortcuts[f"x{name}"] = {**shortcuts["video_mixed"], "format": name}
        return body

    monkeypatch.setattr(services.recall, "retrieve_direct_connect", hostile)
    folder = tmp_path / "deep" / "down" / "here"
    before = everything_but(folder, tmp_path)
    done = runner.invoke(args=["meetings", "download", "1", "--to", str(folder)])
    assert done.exit_code == 0, done.output
    files = list(folder.rglob("*"))
    assert len(files) >= 3
    assert all(file.parent == folder and file.is_file() for file in files)
    assert everything_but(folder, tmp_path) == before


def everything_but(folder: Path, top: Path) -> set[Path]:
    """Whatever files lie around, without the database's."""
    kept = {path for path in top.rglob("*") if path.is_file() and not path.is_relative_to(folder)}
    return {path for path in kept if "sqlite3" not in path.name}


# ---- logs

HOSTILE = [
    "a\r\n2026-11-22T10:00:00Z [info     ] connected",
    "a\n",
    "\x1b[2J\x1b[31mred",
    "a\x00b",
    "a\u2028b",
    "a\x85b",
    "\u202egnp.exe",
    "a\x08\x08",
    '"}\n{"event":"connected"}',
    "%s %(x)s {x} {0}",
]
LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(?:debug|info|warning|error) *\] (.*?)(?:  .*)?")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_nothing_that_is_sent_makes_a_line_of_its_own(
    environ: dict[str, str], tmp_path: Path, log_format: str
) -> None:
    file = f"sqlite:///{tmp_path / 'log.sqlite3'}"
    config = Config.from_environ({**environ, "DATABASE_URL": file, "LOG_FORMAT": log_format})
    with redirect_stderr(io.StringIO()) as log:
        app = create_app(config)
        client = app.test_client()
        for text in HOSTILE:
            stream = Stream(rtms_stream_id=text, meeting_uuid=text, server_urls=text)
            deliver(app, events.started(stream))
            deliver(app, events.concurrency_limited(Stream(meeting_uuid=text, operator_id=text)))
            deliver(app, {"event": text})
            latin = text.encode("latin-1", "replace").decode("latin-1")
            latin = latin.translate(dict.fromkeys(map(ord, "\r\n\0")))  # no server lets these in
            deliver(app, events.started(Stream()), **{"x-zm-trackingid": latin})
            client.post("/zoom-webhook", data=text.encode())
            client.post(f"/{text}", data=b"")
    get_services(app).database.dispose()
    lines = log.getvalue().splitlines()
    assert len(lines) > 3 * len(HOSTILE)
    for line in lines:
        assert line.isprintable()
        if log_format == "json":
            said = json.loads(line)["event"]
        else:
            match = LINE.fullmatch(line)
            assert match
            said = match[1]
        assert said.strip() != "connected"


def test_no_row_shows_a_terminal_anything_but_text(
    app: Flask, services: Services, runner: FlaskCliRunner
) -> None:
    deliver(app, {"event": "x", "payload": {"\x1b[2J": "\x1b[31m\r\n\u202e"}})
    services.intake.take(events.started(Stream(meeting_id="\x1b[31m", operator_id="a\r\nb")))
    services.database.write(
        lambda connection: connection.execute(CONNECTS.update().values(last_error="plain"))
    )
    for args in (
        ["meetings", "list"],
        ["meetings", "show", "1"],
        ["events", "list"],
        ["events", "show", "1"],
    ):
        shown = runner.invoke(args=args)
        assert shown.exit_code == 0
        assert not set(shown.output) & set("\x1b\r\u202e")
