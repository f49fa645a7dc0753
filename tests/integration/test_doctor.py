"""`flask doctor` on a real database, with stand-ins on loopback that are wrong in every way."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy.engine import make_url
from werkzeug.serving import make_server as serve_app

from models import CONNECTS, GATES, PROCESSES
from rtms import clock
from rtms.db.database import Database
from rtms.doctor import disks, public_url
from rtms.services import Services
from rtms.zoom.signature import hex_hmac
from sandbox import Fault, RecallSandbox, Stream, ZoomApiSandbox, events
from tests.conftest import ENVIRON
from tests.databases import on_one_engine
from tests.integration.conftest import Rows
from tests.servers import free_port

TOKEN = ENVIRON["ZOOM_SECRET_TOKEN"]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(wsgi: Wsgi) -> Iterator[str]:
    """A tiny server on loopback."""
    with make_server("127.0.0.1", 0, wsgi, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def answering(status: str, body: bytes = b"{}", **headers: str) -> Wsgi:
    """A server that says the same to everybody."""
    named = [(name.replace("_", "-"), text) for name, text in headers.items()]

    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, named)
        return [body]

    return wsgi


def naive(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What most samples do: answer any challenge, believe any signature."""
    if environ["REQUEST_METHOD"] != "POST":
        start_response("404 Not Found", [])
        return [b"{}"]
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", [("Content-Type", "application/json")])
    if body["event"] != "endpoint.url_validation":
        return [b"{}"]
    plain = str(body["payload"]["plainToken"])
    told = {"plainToken": plain, "encryptedToken": hex_hmac(TOKEN, plain.encode())}
    return [json.dumps(told).encode()]


def filtered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Such a sample behind a firewall that searches the bytes of challenges for `v0:`."""
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if b"validation" not in raw or b"v0:" in raw:
        start_response("401 Unauthorized", [])
        return [b"{}"]
    return naive({**environ, "wsgi.input": io.BytesIO(raw)}, start_response)


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The application itself, at an address."""
    server = serve_app("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def look(runner: FlaskCliRunner, services: Services, **settings: Any) -> list[dict[str, Any]]:
    """Run the command for scripts, and check its exit code."""
    services.config = replace(services.config, **settings)
    result = runner.invoke(args=["doctor", "--json"])
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    told = json.loads(result.stdout)
    findings: list[dict[str, Any]] = told["findings"]
    failed = any(each["grade"] == "failure" for each in findings)
    assert (told["ok"], result.exit_code) == (not failed, int(failed)), result.output
    assert all(each["next_step"] for each in findings if each["grade"] != "ok")
    return findings


def about(findings: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The worst finding about something."""
    grades = ["failure", "warning", "ok"]
    return min(
        (each for each in findings if each["about"] == name),
        key=lambda each: grades.index(each["grade"]),
    )


def alive(
    services: Services,
    kind: str = "web",
    *,
    dispatches: bool = True,
    ago: float = 5,
    counts: Sequence[Any] = (),
) -> None:
    """A process that said so."""
    now = clock.now()
    row = {
        "name": f"host:1:{ago}",
        "kind": kind,
        "host": "host",
        "pid": 1,
        "dispatches": dispatches,
        "started_at": now,
        "seen_at": now - timedelta(seconds=ago),
        "counts": list(counts),
    }
    services.database.write(lambda connection: connection.execute(PROCESSES.insert().values(row)))


@pytest.mark.environ(DISPATCHER="off")
def test_where_all_is_well_nothing_fails(
    runner: FlaskCliRunner, services: Services, recall: RecallSandbox, served: str, rows: Rows
) -> None:
    alive(services, "web", dispatches=False)
    alive(services, "worker", ago=6)
    findings = look(runner, services, public_url=served)
    assert {each["grade"] for each in findings} == {"ok", "warning"}
    for name in (  # what it says of the database's disk depends on the machine
        "migration",
        "connections",
        "Recall",
        "clock",
        "challenge",
        "readyz",
        "forgery",
        "oracle",
        "processes",
        "meetings",
    ):
        assert about(findings, name)["grade"] == "ok", about(findings, name)
    assert rows.events() == []  # it leaves nothing
    assert rows.meetings() == []
    (entry,) = recall.ledger
    assert (entry.method, entry.outcome) == ("GET", "served")


def test_a_key_that_recall_does_not_know_is_tried_once(
    runner: FlaskCliRunner, services: Services, recall: RecallSandbox
) -> None:
    found = about(look(runner, services, recall_api_key="another-regions-key"), "Recall")
    assert found["grade"] == "failure"
    assert "another region" in found["found"]
    assert len(recall.ledger) == 1


@pytest.mark.slow
@on_one_engine
@pytest.mark.parametrize(
    ("fault", "grade", "words"),
    [
        (Fault(kind="status", status=402), "failure", "no credit"),
        (Fault(kind="firewall"), "failure", "refuses the call"),
        (Fault(kind="status", status=503), "warning", "an internal error"),
        (Fault(kind="redirect", location="http://127.0.0.2:1/"), "failure", "redirects"),
        (Fault(kind="hang"), "failure", "did not answer in time"),
        (Fault(kind="reset_before"), "failure", "failed or was reset"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_recalls_trouble_in_words(
    runner: FlaskCliRunner,
    services: Services,
    recall: RecallSandbox,
    fault: Fault,
    grade: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rtms.doctor.recall._PATIENCE", (3.0, 1.0))
    recall.add_fault(fault)
    found = about(look(runner, services), "Recall")
    assert (found["grade"], words in found["found"]) == (grade, True), found
    assert len(recall.ledger) == 1


def with_zoom_api(services: Services, zoom_api: ZoomApiSandbox, **changes: str) -> None:
    """Set the credentials of the Server-to-Server OAuth app."""
    given: dict[str, Any] = {name.lower(): value for name, value in zoom_api.environ.items()}
    services.config = replace(services.config, **(given | changes))
    vars(services).pop("zoom_api", None)  # it was made without them


def test_an_app_that_may_start_streams(
    runner: FlaskCliRunner, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    with_zoom_api(services, zoom_api)
    found = about(look(runner, services), "Zoom's API")
    assert (found["grade"], "may start" in found["found"]) == ("ok", True)
    assert [each.path for each in zoom_api.ledger] == ["/oauth/token"]


def test_without_an_app_it_says_that_streams_are_not_restarted(
    runner: FlaskCliRunner, services: Services
) -> None:
    found = about(look(runner, services), "Zoom's API")
    assert (found["grade"], "not started again" in found["found"]) == ("ok", True)


def test_an_app_without_the_scope(
    runner: FlaskCliRunner, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    zoom_api.tokens.scopes = ("meeting:read:meeting:admin",)
    with_zoom_api(services, zoom_api)
    found = about(look(runner, services), "Zoom's API")
    assert found["grade"] == "failure"
    assert "meeting:update:participant_rtms_app_status:admin" in found["found"]
    assert "*Scopes*" in found["next_step"]


@pytest.mark.parametrize(
    ("changes", "grade", "words"),
    [
        ({"zoom_s2s_client_secret": "another-secret"}, "failure", "ZOOM_S2S_CLIENT_SECRET"),
        ({"zoom_s2s_account_id": "another-account"}, "failure", "ZOOM_S2S_ACCOUNT_ID"),
        ({"zoom_oauth_url": "http://127.0.0.1:1"}, "warning", "failed or was reset"),
    ],
)
def test_an_app_that_gets_no_token(
    runner: FlaskCliRunner,
    services: Services,
    zoom_api: ZoomApiSandbox,
    changes: dict[str, str],
    grade: str,
    words: str,
) -> None:
    with_zoom_api(services, zoom_api, **changes)
    found = about(look(runner, services), "Zoom's API")
    assert (found["grade"], words in found["found"]) == (grade, True), found
    assert "another-secret" not in json.dumps(found)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(kind="not_json", path="token"), "JSON"),
        (Fault(kind="status", path="token", status=429), "too many requests"),
        (Fault(kind="status", path="token", status=500), "an error"),
        (Fault(kind="reset_before", path="token"), "failed or was reset"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_the_token_endpoints_trouble_in_words(
    runner: FlaskCliRunner, services: Services, zoom_api: ZoomApiSandbox, fault: Fault, words: str
) -> None:
    zoom_api.add_fault(fault)
    with_zoom_api(services, zoom_api)
    found = about(look(runner, services), "Zoom's API")
    assert (found["grade"], words in found["found"]) == ("warning", True), found


@pytest.mark.parametrize(
    ("seconds", "grade", "words"),
    [(60, "warning", "behind"), (-60, "warning", "ahead of"), (900, "failure", "behind")],
)
def test_a_clock_that_is_off(
    runner: FlaskCliRunner,
    services: Services,
    recall: RecallSandbox,
    seconds: float,
    grade: str,
    words: str,
) -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))
    recall.add_fault(Fault(kind="headers", headers={"Date": date}))
    found = about(look(runner, services), "clock")
    assert (found["grade"], words in found["found"]) == (grade, True)


def test_a_database_that_is_away_stops_no_other_check(
    runner: FlaskCliRunner, services: Services, recall: RecallSandbox, tmp_path: Path
) -> None:
    away = (
        make_url(f"sqlite:///{tmp_path}")  # a folder
        if services.database.is_sqlite
        else make_url(f"postgresql+psycopg://user:away-password@127.0.0.1:{free_port()}/none")
    )
    was, services.database = services.database, Database(away)
    try:
        findings = look(runner, services)
    finally:
        services.database.dispose()
        services.database = was
    assert about(findings, "database")["grade"] == "failure"
    assert "does not answer" in about(findings, "database")["found"]
    assert about(findings, "Recall")["grade"] == "ok"
    for name in ("processes", "meetings"):
        assert about(findings, name)["grade"] == "warning"
    assert "away-password" not in json.dumps(findings)


@pytest.fixture
def empty(services: Services, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that was never migrated."""
    if services.database.is_sqlite:
        made = Database(make_url(f"sqlite:///{tmp_path / 'empty.sqlite3'}"))
        yield made
        made.dispose()
        return
    server = request.getfixturevalue("postgres")
    server.psql("CREATE DATABASE never_migrated;")
    made = Database(make_url(server.get_uri("never_migrated")).set(drivername="postgresql+psycopg"))
    yield made
    made.dispose()
    server.psql("DROP DATABASE never_migrated WITH (FORCE);")


def test_a_database_that_is_not_migrated(
    runner: FlaskCliRunner, services: Services, empty: Database
) -> None:
    was, services.database = services.database, empty
    try:
        findings = look(runner, services)
    finally:
        services.database = was
    found = about(findings, "migration")
    assert found["grade"] == "failure"
    assert "db upgrade" in found["next_step"]
    assert about(findings, "meetings")["grade"] == "warning"


def test_a_database_of_an_older_version(runner: FlaskCliRunner, services: Services) -> None:
    older = sa.text("UPDATE alembic_version SET version_num = '0001'")
    services.database.write(lambda connection: connection.execute(older))
    found = about(look(runner, services), "migration")
    assert found["grade"] == "failure"
    assert "0001" in found["found"]


@pytest.mark.environ(DYNO="web.1")
def test_a_file_on_a_paas_is_warned_of(runner: FlaskCliRunner, services: Services) -> None:
    found = [each["found"] for each in look(runner, services) if each["about"] == "database"]
    assert any("Heroku wipes its disks" in each for each in found) == services.database.is_sqlite


def test_a_database_that_promises_what_is_not_on_disk(
    runner: FlaskCliRunner, services: Services
) -> None:
    if services.database.is_sqlite:
        pytest.skip("the server itself sets how SQLite writes")
    name = services.database.url.database
    off = sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    services.database.write(lambda connection: connection.execute(off))
    services.database.dispose()  # it counts for connections that are made after it
    found = about(look(runner, services), "database")
    assert found["grade"] == "failure"
    assert "synchronous_commit = off" in found["found"]


@pytest.mark.slow
def test_a_database_that_takes_no_writes(runner: FlaskCliRunner, services: Services) -> None:
    if services.database.is_sqlite:
        with services.database._writing(time.monotonic() + 5):  # somebody else, for too long
            found = about(look(runner, services), "database")
    else:
        name = services.database.url.database
        standby = sa.text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        services.database.write(lambda connection: connection.execute(standby))
        services.database.dispose()
        found = about(look(runner, services), "database")
    assert found["grade"] == "failure"
    assert "cannot be written to" in found["found"]


def test_a_file_on_a_network_share(
    runner: FlaskCliRunner, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not services.database.is_sqlite:
        pytest.skip("PostgreSQL chooses its own disk")
    monkeypatch.setattr(disks, "mounts", lambda: "nas:/export / nfs4 rw 0 0")
    found = about(look(runner, services), "database")
    assert found["grade"] == "warning"
    assert "network share" in found["found"]


@pytest.mark.environ(WEB_CONCURRENCY="100")
def test_more_processes_than_postgresql_has_connections_for(
    runner: FlaskCliRunner, services: Services
) -> None:
    found = about(look(runner, services), "connections")
    if services.database.is_sqlite:
        assert found["grade"] == "ok"
    else:
        assert found["grade"] == "warning"
        assert "up to 800 connections" in found["found"]


def test_without_a_public_address_it_says_what_it_did_not_try(
    runner: FlaskCliRunner, services: Services
) -> None:
    found = about(look(runner, services), "public address")
    assert found["grade"] == "warning"
    assert "PUBLIC_URL" in found["next_step"]


def test_an_endpoint_that_signs_and_believes_anything(
    runner: FlaskCliRunner, services: Services
) -> None:
    with serving(naive) as url:
        findings = look(runner, services, public_url=url)
    assert about(findings, "challenge")["grade"] == "ok"
    assert about(findings, "readyz")["grade"] == "warning"
    assert about(findings, "forgery")["grade"] == "failure"
    found = about(findings, "oracle")
    assert found["grade"] == "failure"
    assert "signing oracle" in found["found"]


def test_an_oracle_behind_a_filter(runner: FlaskCliRunner, services: Services) -> None:
    with serving(filtered) as url:
        findings = look(runner, services, public_url=url)
    assert about(findings, "forgery")["grade"] == "ok"
    found = about(findings, "oracle")
    assert found["grade"] == "failure"
    assert "signing oracle" in found["found"]


@pytest.mark.environ(DISPATCHER="off")
def test_a_server_with_another_secret_token(
    runner: FlaskCliRunner, services: Services, served: str
) -> None:
    ours = replace(
        services.config, zoom_secret_tokens=("a-token-of-another-app",), public_url=served
    )
    found = [finding for finding in public_url.look(ours) if finding.about == "challenge"]
    assert [finding.grade for finding in found] == ["failure"]
    assert "another ZOOM_SECRET_TOKEN" in (found[0].next_step or "")


@on_one_engine
@pytest.mark.parametrize(
    ("wsgi", "words"),
    [
        (answering("301 Moved Permanently", Location="https://www.example.com/x"), "redirects"),
        (answering("200 OK", b"<html>Visit Site", Content_Type="text/html"), "A web page"),
        (answering("404 Not Found", Ngrok_Error_Code="ERR_NGROK_3200"), "no open tunnel"),
        (answering("404 Not Found"), "no such route"),
        (answering("502 Bad Gateway", b""), "cannot reach the server"),
        (answering("200 OK"), "not with an encryptedToken"),
    ],
    ids=["redirect", "page", "tunnel", "route", "gateway", "anything"],
)
def test_something_else_at_the_public_address(
    runner: FlaskCliRunner, services: Services, wsgi: Wsgi, words: str
) -> None:
    with serving(wsgi) as url:
        found = about(look(runner, services, public_url=url), "challenge")
    assert (found["grade"], words in found["found"]) == ("failure", True), found


def test_a_public_address_that_refuses(runner: FlaskCliRunner, services: Services) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = about(look(runner, services, public_url=url), "public address")
    assert found["grade"] == "failure"
    assert "could not be reached: the connection failed" in found["found"]


@pytest.mark.slow
@on_one_engine
def test_a_public_address_that_hangs(
    runner: FlaskCliRunner, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtms.doctor.probe._PATIENCE", (3.0, 2.0))
    monkeypatch.setattr("rtms.doctor.runner._SLOW", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and never answers
        services.config = replace(
            services.config, public_url=f"http://127.0.0.1:{listener.getsockname()[1]}"
        )
        result = runner.invoke(args=["doctor"])
    assert result.exit_code == 1
    assert "did not answer in time" in " ".join(result.stdout.split())
    assert "Still checking: public address" in result.stderr
    assert "Still checking" not in result.stdout


@pytest.mark.environ(RECALL_WEBHOOK_SECRET="whsec_dGhlIHNlY3JldCBvZiB0aGUgZW5kcG9pbnQ=")
def test_status_webhooks_that_are_refused(runner: FlaskCliRunner, services: Services) -> None:
    alive(services, counts=[["rtms_deliveries_refused", ["recall", "401"], 2]])
    found = about(look(runner, services), "Recall's webhooks")
    assert found["grade"] == "warning"
    assert found["found"].startswith("2 calls")
    assert "Create a workspace secret in Recall's dashboard" in found["next_step"]


def test_a_worker_that_is_missing(runner: FlaskCliRunner, services: Services) -> None:
    alive(services, "web", dispatches=False)
    alive(services, "worker", ago=120)
    found = about(look(runner, services, dispatcher=False), "processes")
    assert found["grade"] == "failure"
    assert "no worker runs" in found["found"]


def test_meetings_that_nobody_connects(runner: FlaskCliRunner, services: Services) -> None:
    streams = [Stream() for _ in range(5)]
    for stream in streams:
        services.intake.take(events.started(stream))
    assert about(look(runner, services), "meetings")["grade"] == "ok"  # not late yet
    past = clock.now() - timedelta(minutes=2)
    services.database.write(
        lambda connection: connection.execute(CONNECTS.update().values(due_at=past))
    )
    found = about(look(runner, services), "meetings")
    assert found["grade"] == "failure"
    assert str(streams[0].meeting_id) in found["found"]
    assert "and 2 more" in found["found"]
    closed = {"name": "create", "closed_until": clock.now() + timedelta(minutes=1)}
    services.database.write(lambda connection: connection.execute(GATES.insert().values(closed)))
    findings = look(runner, services)  # now they wait because Recall said so
    assert about(findings, "meetings")["grade"] == "ok"
    assert "no create is sent before" in about(findings, "rate limit")["found"]


def test_meetings_that_failed_and_those_that_nobody_looks_up(
    runner: FlaskCliRunner, services: Services
) -> None:
    for _ in range(3):
        services.intake.take(events.started(Stream()))
    failed = {"state": "failed", "reason": "refused", "due_at": None}
    late = {"state": "ended", "due_at": clock.now() - timedelta(hours=1)}
    for values, which in ((failed, CONNECTS.c.id < 3), (late, CONNECTS.c.id == 3)):
        change = CONNECTS.update().where(which).values(values)
        services.database.write(lambda connection, change=change: connection.execute(change))  # type: ignore[misc]
    found = [each["found"] for each in look(runner, services) if each["about"] == "meetings"]
    assert any("2 refused" in each for each in found)
    assert any("1 lookups of meetings at Recall are more than" in each for each in found)


def test_the_last_delivery_is_told(runner: FlaskCliRunner, services: Services) -> None:
    assert about(look(runner, services), "deliveries")["grade"] == "warning"
    services.intake.take(events.started(Stream()))
    found = about(look(runner, services), "deliveries")
    assert found["grade"] == "ok"
    assert "seconds ago" in found["found"]


def test_no_secret_is_told_whatever_the_others_say(
    runner: FlaskCliRunner, services: Services, recall: RecallSandbox
) -> None:
    secrets = {
        "zoom_client_secret": "client-secret-of-this-test",
        "recall_api_key": "api-key-of-this-test",
        "admin_password": "changeme-of-this-test",  # a finding is about it
        "metrics_token": "short-one",
        "notify_url": "http://hooks.example/token-of-this-test",
        "notify_secret": "whsec_b2YgdGhpcyB0ZXN0",
    }
    leak = "".join(secrets.values()) + TOKEN
    wsgi = answering("302 Found", leak.encode(), Location=f"https://{TOKEN}.example/{leak}")
    with serving(wsgi) as url:
        findings = look(runner, services, public_url=url, **secrets)
        told = runner.invoke(args=["doctor"]).output
    for secret in (*secrets.values(), TOKEN):
        assert secret not in json.dumps(findings)
        assert secret not in told.replace("\n", "")


def test_for_people_in_colour_where_a_terminal_shows_it(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    plain = runner.invoke(args=["doctor"])
    assert plain.exit_code == 1
    assert "\x1b" not in plain.output
    assert plain.stdout.startswith("ok      configuration")
    assert plain.stdout.splitlines()[-1].startswith("1 failed, ")
    assert "→ " in plain.stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31mfailure" in runner.invoke(args=["doctor"]).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31mfailure" not in runner.invoke(args=["doctor"]).stdout
