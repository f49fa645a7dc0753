"""What /metrics says of the table and of this process, and to whom."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from config import Config
from models import ATTEMPTS, CONNECTS, GATES, PROCESSES
from rtms import clock
from rtms.db.engines import sqlite_path
from rtms.db.errors import DatabaseUnavailable
from rtms.monitoring import heartbeat
from rtms.monitoring.meeting_counts import MeetingCounter
from rtms.recall import rate_limit
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.conftest import ENVIRON
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.prometheus import Scraped

TOKEN = "metrics-token-of-the-tests"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(autouse=True)
def always_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer tells what has just been counted, and not what was a second ago."""
    monkeypatch.setattr(heartbeat, "_RECENT_SECONDS", 0.0)


def ask(app: Flask, remote: str = "127.0.0.1", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().get(
        "/metrics", headers=given, environ_overrides={"REMOTE_ADDR": remote}
    )


def scrape(app: Flask) -> Scraped:
    answer = ask(app)
    assert answer.status_code == 200, answer.text
    return Scraped(answer.text)


def change(services: Services, statement: Any) -> None:
    services.database.write(lambda connection: connection.execute(statement))


# ---- What it says


def test_an_empty_table_is_told_in_words_that_prometheus_reads(
    app: Flask, services: Services
) -> None:
    answer = ask(app)
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    told = Scraped(answer.text)
    assert told.sum("rtms_database_up") == told.sum("rtms_schema_ok") == 1
    assert told.sum("rtms_meetings") == told.sum("rtms_meetings_last_hour") == 0
    assert told.sum("rtms_dispatcher_up") == 0
    assert told.values("rtms_rows_due", "lane") == dict.fromkeys(
        ("connect", "refresh", "restart", "notify", "archive", "erase"), 0.0
    )
    assert told.all("rtms_last_start_timestamp_seconds") == []
    assert all(family.documentation for family in told.families)
    assert {family.name[:5] for family in told.families} == {"rtms_"}
    services.start_dispatcher()
    assert scrape(app).sum("rtms_dispatcher_up", kind="web") == 1


def test_openmetrics_is_spoken_to_who_asks_for_it(app: Flask) -> None:
    answer = ask(app, Accept=OPENMETRICS)
    assert answer.content_type.startswith("application/openmetrics-text")
    told = Scraped(answer.text, openmetrics=True)
    assert told.names == scrape(app).names


def test_deliveries_are_counted_by_event_and_outcome(app: Flask, zoom: Zoom) -> None:
    before = time.time()
    start = events.started(stream := Stream())
    for body in (start, start, events.stopped(stream, reason=18), {"event": "meeting.created"}):
        assert zoom.deliver(body).status_code == 200
    zoom.deliver({**events.started(Stream()), "payload": {}})
    told = scrape(app)
    count = "rtms_deliveries_total"
    assert told.sum(count, event="meeting.rtms_started", outcome="accepted") == 1
    assert told.sum(count, event="meeting.rtms_started", outcome="duplicate") == 1
    assert told.sum(count, event="meeting.rtms_started", outcome="rejected") == 1
    assert told.sum(count, event="other", outcome="unknown") == 1
    assert told.sum("rtms_streams_stopped_total", stop_reason="18") == 1
    assert told.sum("rtms_acknowledgement_seconds_count") == 5
    assert 0 < told.sum("rtms_acknowledgement_seconds_sum") < 60
    assert before - 1 < told.sum("rtms_last_start_timestamp_seconds") <= time.time()
    last_delivery = told.sum("rtms_last_delivery_timestamp_seconds")
    assert told.sum("rtms_last_start_timestamp_seconds") <= last_delivery <= time.time()


@pytest.mark.environ(MAX_BODY_BYTES="2000")
def test_refused_deliveries_are_counted_by_status(app: Flask, zoom: Zoom) -> None:
    assert zoom.deliver(events.started(Stream()), token="another").status_code == 401
    assert zoom.deliver(raw=b"{").status_code == 400
    assert zoom.deliver(raw=b" " * 3000).status_code == 413
    told = scrape(app)
    assert {
        sample.labels["status"]: sample.value
        for sample in told.all("rtms_deliveries_refused_total", source="zoom")
    } == {"400": 1, "401": 1, "413": 1, "503": 0}
    assert told.sum("rtms_deliveries_total") == 0


HOSTILE = ['x"} 1 rtms_database_up 0 #', "a\\", 'le="+Inf"', "# EOF", "émöji🎥", "a\nb 0", "\u2028"]


@pytest.mark.parametrize(("accept", "is_open"), [("", False), (OPENMETRICS, True)])
@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_cannot_speak_through_the_metrics(
    app: Flask, services: Services, zoom: Zoom, words: str, accept: str, is_open: bool
) -> None:
    zoom.deliver({"event": words, "payload": {"stop_reason": words}})
    zoom.deliver(events.started(Stream()) | {"event": f"meeting.rtms_started{words}"})
    known = Scraped(ask(app, Accept=accept).text, openmetrics=is_open)
    assert known.sum("rtms_database_up") == 1
    unknown = known.all("rtms_deliveries_total", outcome="unknown")
    assert {sample.labels["event"] for sample in unknown} <= {"other"}
    # And where another version, or another host's name, lets them through to the table:
    counts = [["rtms_deliveries", ["zoom", words, "accepted"], 7]]
    change(services, another(words, clock.now()))
    change(services, PROCESSES.update().where(PROCESSES.c.name == words).values(counts=counts))
    told = Scraped(ask(app, Accept=accept).text, openmetrics=is_open)
    assert told.sum("rtms_database_up") == 1
    assert told.sum("rtms_deliveries_total", process=words, event=words) == 7
    assert told.names == known.names


def test_what_recall_answers_and_how_long_a_connect_takes(
    app: Flask, services: Services, zoom: Zoom, recall: RecallSandbox, rows: Rows
) -> None:
    for fault in (Fault(kind="status", status=402), Fault(kind="reset_before")):
        recall.add_fault(fault)
    zoom.deliver(events.started(Stream()))
    services.start_dispatcher()
    wait_for(lambda: rows.meetings()[0].state == "failed")
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meetings()[1].state == "connected")
    services.recall.retrieve_direct_connect(rows.meetings()[1].recall_id)
    wait_for(lambda: scrape(app).sum("rtms_time_to_connect_seconds_count") == 1)
    told = scrape(app)
    assert {
        (sample.labels["operation"], sample.labels["outcome"]): sample.value
        for sample in told.all("rtms_recall_answers_total")
        if sample.value
    } == {
        ("create", "refused_402"): 1,
        ("create", "no_answer"): 1,
        ("create", "created"): 1,
        ("retrieve", "found"): 1,
    }
    assert 0 < told.sum("rtms_time_to_connect_seconds_sum") < 60
    assert told.sum("rtms_meetings", state="failed", reason="refused") == 1
    assert told.sum("rtms_meetings", state="connected", reason="") == 1
    assert told.sum("rtms_meetings_last_hour") == 2


def test_meetings_that_recalls_rate_limit_cost(app: Flask, services: Services) -> None:
    for _ in range(3):
        services.intake.take(events.started(Stream()))
    now = clock.now()
    for id in (1, 2):
        for _ in range(2):
            change(
                services,
                ATTEMPTS.insert().values(
                    meeting_direct_connect_id=id, at=now, outcome="rate_limited"
                ),
            )
    change(
        services,
        CONNECTS.update()
        .where(CONNECTS.c.id.in_([1, 3]))
        .values(state="failed", reason="window_expired"),
    )
    told = scrape(app)
    lost = {"state": "failed", "reason": "window_expired"}
    assert told.sum("rtms_meetings_rate_limited_last_hour", **lost) == 1
    assert told.sum("rtms_meetings_rate_limited_last_hour", state="pending") == 1
    assert told.sum("rtms_meetings_last_hour", **lost) == 2
    change(services, CONNECTS.update().values(received_at=now - timedelta(minutes=61)))
    told = scrape(app)
    assert told.sum("rtms_meetings_rate_limited_last_hour") == 0
    assert told.sum("rtms_meetings", **lost) == 2


def test_the_queue_and_who_waits_longest(app: Flask, services: Services) -> None:
    for _ in range(3):
        services.intake.take(events.started(Stream()))
    now = clock.now()
    one = CONNECTS.update().where(CONNECTS.c.id == 1)
    change(services, one.values(received_at=now - timedelta(seconds=100)))
    leased = {"lease_owner": "x", "leased_until": now + timedelta(minutes=1)}
    change(services, CONNECTS.update().where(CONNECTS.c.id == 2).values(**leased))
    told = scrape(app)
    assert told.sum("rtms_rows_due", lane="connect") == 2
    assert told.sum("rtms_rows_leased", lane="connect") == 1
    assert 100 <= told.sum("rtms_oldest_waiting_seconds", lane="connect") < 130
    assert told.sum("rtms_oldest_waiting_seconds", lane="refresh") == 0
    followed = {"state": "connected", "recall_id": "r-1"}
    change(services, one.values(due_at=now - timedelta(seconds=40), **followed))
    told = scrape(app)
    assert told.sum("rtms_rows_due", lane="refresh") == 1
    assert 40 <= told.sum("rtms_oldest_waiting_seconds", lane="refresh") < 70
    change(services, one.values(due_at=now + timedelta(hours=1)))
    assert scrape(app).sum("rtms_oldest_waiting_seconds", lane="refresh") == 0


def test_the_gate_and_the_limit_that_was_learned(app: Flask, services: Services) -> None:
    assert scrape(app).values("rtms_gate_closed", "gate") == {"create": 0, "retrieve": 0}
    services.database.write(
        lambda c: rate_limit.refuse_create(c, 0, retry_after=30, now=clock.now())
    )
    told = scrape(app)
    assert told.sum("rtms_gate_closed", gate="create") == 1
    until = told.sum("rtms_gate_closed_until_timestamp_seconds", gate="create")
    assert 20 < until - time.time() <= 30
    assert told.sum("rtms_recall_limit_creates") == 1
    assert told.sum("rtms_recall_limit_period_seconds") == 30
    long_ago = clock.now() - timedelta(hours=1)
    change(services, GATES.update().values(closed_until=long_ago, learned_at=long_ago))
    told = scrape(app)
    assert told.sum("rtms_gate_closed", gate="create") == 0
    assert told.all("rtms_recall_limit_creates") == []


def test_no_secret_is_told(app: Flask, zoom: Zoom, services: Services) -> None:
    zoom.deliver(events.started(stream := Stream()))
    text = ask(app).text
    secrets = [value for name, value in ENVIRON.items() if "SECRET" in name or "KEY" in name]
    for hidden in (*secrets, stream.rtms_stream_id, stream.meeting_uuid):
        assert hidden not in text


# ---- Counting a long history


def counted(services: Services, counter: MeetingCounter) -> dict[tuple[str, str], int]:
    with services.database.read() as connection:
        return {
            standing: number for standing, number in counter.count(connection).items() if number
        }


def truth(rows: Rows) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in rows.meetings():
        standing = (row.state, row.reason or "")
        found[standing] = found.get(standing, 0) + 1
    return found


def test_every_tally_is_exact_whatever_comes_and_goes(services: Services, rows: Rows) -> None:
    """Two of them, as two processes have: one that looks each time, and one that does not."""
    often, seldom = MeetingCounter(block=4), MeetingCounter(block=4)
    assert counted(services, often) == {}

    def to(ids: range, **values: Any) -> None:
        change(services, CONNECTS.update().where(CONNECTS.c.id.in_(list(ids))).values(**values))

    for _ in range(30):
        services.intake.take(events.started(Stream()))
    assert (
        counted(services, often)
        == counted(services, seldom)
        == truth(rows)
        == {("pending", ""): 30}
    )
    to(range(1, 25), state="done", due_at=None, recall_id="r")
    to(range(20, 24), state="failed", reason="refused")
    assert counted(services, often) == truth(rows)
    to(range(25, 31), state="skipped", reason="stopped_first", due_at=None)
    for _ in range(3):  # and some that come and go between two looks
        services.intake.take(events.started(Stream()))
    to(range(31, 33), state="ended", due_at=None)
    assert counted(services, often) == counted(services, seldom) == truth(rows)
    to(range(9, 10), state="pending", due_at=clock.now())  # a person retries an old one
    assert counted(services, often) == truth(rows)
    to(range(9, 10), state="done", due_at=None)
    assert counted(services, often) == truth(rows)
    to(range(14, 15), state="failed", reason="recall_failed")
    assert counted(services, often) == truth(rows)
    # Grown too old, from the middle too: one of the oldest is still wanted, and stays.
    change(services, CONNECTS.delete().where(CONNECTS.c.id.between(2, 22)))
    assert counted(services, often) == counted(services, seldom) == truth(rows)
    change(services, CONNECTS.delete().where(CONNECTS.c.id.in_([23, 27, 32])))
    assert counted(services, often) == counted(services, seldom) == truth(rows)
    to(range(26, 27), reason="not_wanted")  # the same row, and nothing else has changed
    wait_for(lambda: counted(services, often) == truth(rows), seconds=5)
    change(services, CONNECTS.delete())
    assert counted(services, often) == counted(services, seldom) == {}


def test_a_meeting_that_failed_late_is_of_the_last_hour(app: Flask, services: Services) -> None:
    for _ in range(3):
        services.intake.take(events.started(Stream()))
    long_ago = clock.now() - timedelta(hours=3)
    lost = {"state": "failed", "reason": "recall_failed"}
    old = CONNECTS.update().where(CONNECTS.c.id < 3)
    change(services, old.values(**lost, received_at=long_ago, connected_at=long_ago))
    assert scrape(app).sum("rtms_meetings_last_hour", **lost) == 0
    change(services, CONNECTS.update().where(CONNECTS.c.id == 2).values(stopped_at=clock.now()))
    assert scrape(app).sum("rtms_meetings_last_hour", **lost) == 1
    assert scrape(app).sum("rtms_meetings_last_hour") == 2


def test_no_statement_looks_at_a_whole_history(app: Flask, services: Services) -> None:
    """SQLite chooses an index by its form alone, so a small table shows what a large one costs."""
    if not services.database.is_sqlite:
        pytest.skip("PostgreSQL chooses by what is in the table")
    services.intake.take(events.started(Stream()))
    statements: list[tuple[str, Any]] = []

    @sa.event.listens_for(services.database.engine, "before_cursor_execute")
    def _note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith("SELECT") and "explain" not in statement.lower():
            statements.append((statement, values))

    scrape(app)
    assert len(statements) > 8
    with services.database.read() as connection:
        for statement, values in list(statements):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            for step in (row.detail for row in plan):
                whole = re.match(r"SCAN (meeting_|webhook_|recordings|notifications)", step)
                assert not whole or _IS_SHORT.search(step), (statement, step)
                assert "FOR ORDER BY" not in step or "FROM processes" in statement, statement


# Indexes over the few rows that want something, or one that is read from its end to the first hit.
_IS_SHORT = re.compile(
    r"INDEX ix_(pending|followed|events_received_at|notifications_due|recordings_archive)\b"
)


# ---- Several processes


def another(name: str, seen_at: datetime, number: int = 3) -> Any:
    return PROCESSES.insert().values(
        name=name,
        kind="worker",
        host="host",
        pid=1,
        dispatches=True,
        started_at=clock.now() - timedelta(days=1),
        seen_at=seen_at,
        counts=[["rtms_deliveries", ["zoom", "meeting.rtms_started", "accepted"], number]],
    )


def test_other_processes_are_told_as_long_as_they_live(
    app: Flask, services: Services, zoom: Zoom
) -> None:
    zoom.deliver(events.started(Stream()))
    now = clock.now()
    change(services, another("living", now - timedelta(seconds=50)))
    change(services, another("dead", now - timedelta(seconds=70)))
    change(services, another("in the future", now + timedelta(hours=2)))
    change(services, another("forgotten", now - timedelta(hours=2)))
    told = scrape(app)
    mine = services.heartbeat.identity.name
    accepted = [
        (sample.labels["process"], sample.value)
        for sample in told.all("rtms_deliveries_total", event="meeting.rtms_started")
    ]
    assert sorted(accepted) == sorted([(mine, 1), ("living", 3)])
    assert told.values("rtms_dispatcher_up", "process") == {mine: 0, "living": 1}
    with services.database.read() as connection:
        left = set(connection.scalars(sa.select(PROCESSES.c.name)))
    assert left == {mine, "living", "dead"}


def test_what_a_process_tells_of_itself_is_written_before(
    app: Flask, services: Services, zoom: Zoom, config: Config
) -> None:
    """Else the next answer, by another process, would say less, and Prometheus would take that
    for a restart and count everything twice."""
    zoom.deliver(events.started(Stream()))
    assert scrape(app).sum("rtms_deliveries_total", event="meeting.rtms_started") == 1
    with services.database.read() as connection:
        (row,) = heartbeat.living(connection, now=clock.now())
    assert row.name == services.heartbeat.identity.name
    assert ["rtms_deliveries", ["zoom", "meeting.rtms_started", "accepted"], 1] in row.counts


def test_what_could_not_be_written_is_not_told(
    app: Flask, services: Services, zoom: Zoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoom.deliver(events.started(Stream()))
    assert scrape(app).sum("rtms_deliveries_total") == 1
    zoom.deliver(events.started(Stream()))

    def refuse() -> None:
        raise DatabaseUnavailable("others have been writing for too long")

    with monkeypatch.context() as patched:
        patched.setattr(services.heartbeat, "recent", refuse)
        told = scrape(app)
    assert told.sum("rtms_database_up") == 1
    assert told.sum("rtms_deliveries_total") == 1
    assert told.sum("rtms_meetings", state="pending") == 2  # by the table
    assert scrape(app).sum("rtms_deliveries_total") == 2


def test_however_many_ask_few_of_them_write(
    app: Flask, services: Services, zoom: Zoom, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_RECENT_SECONDS", 60.0)
    written: list[str] = []

    @sa.event.listens_for(services.database.engine, "before_cursor_execute")
    def _note(_c: object, _k: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO processes"):
            written.append(statement)

    zoom.deliver(events.started(Stream()))
    told = [scrape(app).sum("rtms_deliveries_total")]
    zoom.deliver(events.started(Stream()))
    told += [scrape(app).sum("rtms_deliveries_total") for _ in range(5)]
    assert (told, len(written)) == ([1] * 6, 1)  # as it is written: another process says the same
    services.heartbeat.beat()
    assert scrape(app).sum("rtms_deliveries_total") == 2
    monkeypatch.setattr(heartbeat, "_RECENT_SECONDS", 0.0)
    zoom.deliver(events.started(Stream()))
    assert scrape(app).sum("rtms_deliveries_total") == 3


def test_a_process_that_ends_takes_its_row_back(services: Services, config: Config) -> None:
    other = Services.from_config(config)
    other.heartbeat.start("worker")

    def living() -> list[str]:
        with services.database.read() as connection:
            return [row.name for row in heartbeat.living(connection, now=clock.now())]

    wait_for(lambda: living() == [other.heartbeat.identity.name])
    began = time.monotonic()
    other.heartbeat.stop()
    assert time.monotonic() - began < 5
    assert living() == []
    other.heartbeat.beat()  # a scrape that comes too late brings it back to no life
    assert living() == []
    other.recall.close()
    other.database.dispose()


# ---- Trouble


@pytest.fixture
def take_away(services: Services, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Makes the database useless: a file that is none any more, a server that lets nobody in."""

    def sqlite() -> None:
        services.database.dispose()
        path = sqlite_path(services.database.url)
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        Path(path).write_bytes(b"no database" * 1000)

    def postgresql() -> None:
        server = request.getfixturevalue("postgres")
        name = services.database.url.database
        server.psql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false;')
        server.psql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{name}';"
        )

    return sqlite if services.database.is_sqlite else postgresql


def test_without_its_database_a_process_tells_what_it_knows(
    app: Flask, zoom: Zoom, take_away: Callable[[], None]
) -> None:
    zoom.deliver(events.started(Stream()))
    take_away()
    assert zoom.deliver(events.started(Stream())).status_code == 503
    told = scrape(app)
    assert told.sum("rtms_database_up") == 0
    assert told.sum("rtms_deliveries_total") == 1
    assert told.sum("rtms_deliveries_refused_total", status="503") == 1
    assert not told.names & {"rtms_schema_ok", "rtms_meetings"}


def test_a_heartbeat_outlives_its_database_and_says_so_once(
    services: Services, take_away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_AGAIN_SECONDS", 0.01)
    tries: list[bool] = []
    beat = services.heartbeat.beat

    def note_and_beat() -> dict[str, Any]:
        tries.append(True)
        return beat()

    monkeypatch.setattr(services.heartbeat, "beat", note_and_beat)
    take_away()
    with capture_logs() as lines:
        services.heartbeat.start("web")
        wait_for(lambda: len(tries) > 5)
        services.heartbeat.stop()
    words = "this process could not write its heartbeat; trying again"
    assert [line["log_level"] for line in lines if line["event"] == words] == ["warning"]


def test_a_schema_that_is_too_old_is_told(app: Flask, services: Services) -> None:
    change(services, sa.text("UPDATE alembic_version SET version_num = '0001'"))
    told = scrape(app)
    assert (told.sum("rtms_database_up"), told.sum("rtms_schema_ok")) == (1, 0)
    assert "rtms_meetings" not in told.names


# ---- Who may read it


@on_one_engine
@pytest.mark.parametrize("remote", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(app: Flask, remote: str) -> None:
    assert ask(app, remote).status_code == 200


FORWARDED = {
    "X_Forwarded_For": "127.0.0.1",
    "X_Forwarded_Host": "example.com",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Server": "proxy",
    "X_Real_IP": "127.0.0.1",
    "X_Original_Forwarded_For": "127.0.0.1",
    "X_Originating_IP": "127.0.0.1",
    "X_Cluster_Client_IP": "127.0.0.1",
    "Fly_Client_IP": "127.0.0.1",
    "X_Envoy_External_Address": "127.0.0.1",
    "Forwarded": "for=127.0.0.1",
    "Via": "1.1 proxy",
    "CF_Connecting_IP": "127.0.0.1",
}


@on_one_engine
@pytest.mark.parametrize("header", FORWARDED)
def test_nobody_may_through_a_proxy_on_this_machine(app: Flask, header: str) -> None:
    answer = ask(app, **{header: FORWARDED[header]})
    unknown = app.test_client().get("/nothing-here")
    assert (answer.status_code, answer.json) == (unknown.status_code, unknown.json)


@on_one_engine
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_may_by_each_of_its_own_names(app: Flask, host: str) -> None:
    assert ask(app, Host=host, Sec_Fetch_Site="none").status_code == 200


@on_one_engine
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example.com"},
        {"Host": "rebound.example.com:8000"},
        {"Host": "localhost.example.com"},
        {"Host": "127.0.0.1.example.com:8000"},
        {"Host": "localhost:8000", "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_no_page_in_a_browser_on_this_machine_may(app: Flask, headers: dict[str, str]) -> None:
    assert ask(app, **headers).status_code == 404


@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_with_the_token_any_host_will_do(app: Flask) -> None:
    assert ask(app, Host="rtms.example.com").status_code == 401
    bearer = f"Bearer {TOKEN}"
    assert ask(app, Host="rtms.example.com", Authorization=bearer).status_code == 200


@on_one_engine
@pytest.mark.parametrize("remote", ["10.0.0.7", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1", ""])
def test_nobody_elsewhere_hears_of_it_without_a_token(app: Flask, remote: str) -> None:
    answer = ask(app, remote, Authorization="Bearer None")
    assert answer.status_code == 404
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_who_has_the_token_may_from_everywhere(app: Flask) -> None:
    for scheme in ("Bearer", "bearer"):
        allowed = ask(app, "192.0.2.1", Authorization=f"{scheme} {TOKEN}", X_Forwarded_For="::1")
        assert allowed.status_code == 200
        assert TOKEN not in allowed.text
    assert ask(app).status_code == 200  # this machine still needs none


@on_one_engine
@pytest.mark.environ(METRICS_TOKEN=TOKEN)
@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN,
     f"Bearer {TOKEN.upper()}", "Bearer \xe9\xff", f"Bearer {TOKEN}, Bearer {TOKEN}"],
)  # fmt: skip
def test_a_wrong_token_is_refused(app: Flask, given: str) -> None:
    answer = ask(app, "192.0.2.1", Authorization=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text
    assert "rtms_" not in answer.text


@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_the_token_is_compared_in_constant_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert ask(app, "192.0.2.1", Authorization="Bearer x").status_code == 401
    assert compared == [(b"x", TOKEN.encode())]


@pytest.mark.environ(TRUSTED_PROXIES="1")
def test_a_trusted_proxy_cannot_make_somebody_local(app: Flask) -> None:
    assert ask(app, X_Forwarded_For="127.0.0.1").status_code == 404
    assert ask(app, X_Forwarded_For="192.0.2.1").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_only_read(app: Flask, method: str) -> None:
    assert app.test_client().open("/metrics", method=method).status_code == 405
