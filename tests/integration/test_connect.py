"""From a pending row to Recall's answer in it: the dispatcher against the stand-in for Recall."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner
from structlog.testing import capture_logs

from config import Config
from models import CONNECTS, GATES
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.connect import outcomes, pending
from rtms.jobs.connect.job import ConnectJob
from rtms.jobs.connect.outcomes import Try
from rtms.jobs.connect.pending import PendingRow
from rtms.monitoring.counters import Counts, read_counts
from rtms.queue import paced
from rtms.queue.leases import new_owner
from rtms.recall.create_outcomes import Created, CreateOutcome, OutcomeUnknown, RateLimited, Refused
from rtms.recall.idempotency import KEY_LIFETIME
from rtms.recall.rate_limit import CREATE_GATE
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for

ZOOM_API = {
    "ZOOM_S2S_ACCOUNT_ID": "account-1",
    "ZOOM_S2S_CLIENT_ID": "client-1",
    "ZOOM_S2S_CLIENT_SECRET": "secret-1",
}


@pytest.fixture
def dispatching(services: Services) -> Services:
    """The application's parts, with its dispatcher running."""
    services.start_dispatcher()
    return services


def settled(rows: Rows) -> Any:
    """The only row, once nothing more is to be done about it."""
    return wait_for(lambda: (row := rows.meeting()).state != "pending" and row)


def creates(recall: RecallSandbox) -> list[Any]:
    return [entry for entry in recall.ledger if entry.method == "POST"]


def test_a_start_becomes_a_connection_with_recalls_id_and_status(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    stream = Stream()
    zoom.deliver(events.started(stream))
    row = settled(rows)
    (connection,) = recall.connections
    assert (row.state, row.recall_id, row.status) == ("connected", connection.id, "connecting")
    assert (row.attempts, row.last_error) == (1, None)
    assert (row.lease_owner, row.leased_until) == (None, None)
    assert row.connected_at >= row.received_at
    assert connection.signature_ok
    assert (connection.meeting_uuid, connection.stream_id, connection.server_urls) == (
        stream.meeting_uuid,
        stream.rtms_stream_id,
        stream.server_urls,
    )
    ours = {"rtms_stream_id": stream.rtms_stream_id, "meeting_direct_connect_id": str(row.id)}
    assert connection.metadata == ours
    assert connection.recording_config == {"video_mixed_mp4": {}, "metadata": ours}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 409},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "status", "status": 429, "retry_after": 1, "retry_after_date": True},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 504, "work": "after", "work_seconds": 0.7},
        {"kind": "status", "status": 507},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
        {"kind": "truncated"},
        {"kind": "no_id"},
        {"kind": "not_json"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_what_passes_is_tried_again_and_connected_once(
    recall: RecallSandbox,
    zoom: Zoom,
    dispatching: Services,
    rows: Rows,
    fault: dict[str, Any],
) -> None:
    recall.add_fault(Fault(**fault, path="create"))
    zoom.deliver(events.started(Stream()))
    row = settled(rows)
    assert (row.state, len(recall.connections)) == ("connected", 1)
    assert row.recall_id == recall.connections[0].id
    assert len(creates(recall)) >= 2
    assert row.attempts == len(creates(recall)) - (fault.get("status") == 429)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "status", "status": 400}, "Recall answered 400"),
        ({"kind": "status", "status": 401}, "check RECALL_API_KEY"),
        ({"kind": "status", "status": 402}, "no credit"),
        ({"kind": "firewall"}, "Request blocked"),
        ({"kind": "redirect", "location": "http://127.0.0.2:9/x"}, "redirects to another host"),
    ],
)
def test_what_recall_refuses_for_good_fails_at_once_and_says_why(
    recall: RecallSandbox,
    zoom: Zoom,
    dispatching: Services,
    rows: Rows,
    fault: dict[str, Any],
    words: str,
) -> None:
    recall.add_fault(Fault(**fault, path="create", times=None))
    zoom.deliver(events.started(Stream()))
    row = settled(rows)
    assert (row.state, row.reason, row.attempts) == ("failed", "refused", 1)
    assert words in row.last_error
    assert len(creates(recall)) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_host_repeats_the_post(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows, status: int
) -> None:
    location = f"{recall.url}/api/v1/meeting_direct_connect/"
    recall.add_fault("redirect", status=status, location=location, path="create")
    zoom.deliver(events.started(Stream()))
    assert settled(rows).state == "connected"
    first, second = creates(recall)
    assert (first.path, second.path) == (
        "/api/v1/meeting_direct_connect",
        "/api/v1/meeting_direct_connect/",
    )
    assert first.idempotency_key == second.idempotency_key


@pytest.mark.slow
@pytest.mark.environ(CONNECT_WINDOW_SECONDS="3")
@pytest.mark.parametrize("status", [503, 507])
def test_after_the_window_the_row_fails_and_nobody_asks_any_more(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows, status: int
) -> None:
    recall.add_fault("status", status=status, path="create", times=None)
    zoom.deliver(events.started(Stream()))
    row = settled(rows)
    assert (row.state, row.reason) == ("failed", "window_expired")
    assert f"Recall answered {status}" in row.last_error
    asked_at = [entry.at for entry in creates(recall)]
    assert len(asked_at) == row.attempts >= 3
    assert max(asked_at) <= row.connect_by.timestamp()
    keys = {entry.idempotency_key for entry in creates(recall)}
    assert len(keys) == (1 if status == 503 else row.attempts)


def test_the_first_try_is_made_however_late_the_event(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    hour_ago = int((clock.now().timestamp() - 3600) * 1000)
    zoom.deliver(events.started(Stream(), event_ts=hour_ago))
    assert settled(rows).state == "connected"


def test_a_late_first_try_is_the_only_one(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    recall.add_fault("status", status=503, path="create", times=None)
    hour_ago = int((clock.now().timestamp() - 3600) * 1000)
    zoom.deliver(events.started(Stream(), event_ts=hour_ago))
    row = settled(rows)
    assert (row.state, row.reason, row.attempts) == ("failed", "window_expired", 1)
    assert len(creates(recall)) == 1


@pytest.mark.slow
def test_one_429_closes_the_gate_for_every_row_and_is_no_try(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.add_fault("status", status=429, retry_after=2, path="create", times=1)
    for _ in range(5):
        zoom.deliver(events.started(Stream()))
    services.start_dispatcher()
    wait_for(lambda: {row.state for row in rows.meetings()} == {"connected"})
    asked = creates(recall)
    refused = next(entry for entry in asked if entry.status == 429)
    opens_at = refused.answered_at + 2
    for entry in asked:
        in_flight_already = entry.at <= refused.answered_at + 0.5
        assert in_flight_already or entry.at >= opens_at - 0.1
    assert {row.attempts for row in rows.meetings()} == {1}


@pytest.mark.slow
def test_a_stop_while_recall_is_at_work_ends_the_row_with_its_id(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    recall.set(latency=1.0)
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: creates(recall))
    zoom.deliver(events.stopped(stream))
    row = settled(rows)
    assert (row.state, row.stop_reason) == ("ended", 6)
    assert row.recall_id == recall.connections[0].id


@pytest.mark.slow
def test_a_connection_that_failed_over_while_in_flight_keeps_its_id_and_stays_ended(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    recall.set(latency=1.0)
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: creates(recall))
    zoom.deliver(events.failover(stream))
    wait_for(lambda: all(row.recall_id for row in rows.meetings()))
    older, newer = rows.meetings()
    assert (older.state, older.superseded_by) == ("ended", newer.id)
    assert newer.state == "connected"


# ---- leases


def claim(database: Database, limit: int = 10, seconds: float = 30) -> list[PendingRow]:
    return database.write(
        lambda connection: pending.claim(
            connection,
            limit=limit,
            owner=new_owner(),
            now=clock.now(),
            seconds=seconds,
            window=timedelta(seconds=60),
        )
    )


def start(services: Services, count: int) -> None:
    for _ in range(count):
        services.intake.take(events.started(Stream()))


def test_a_leased_row_is_nobody_elses_until_its_lease_runs_out(services: Services) -> None:
    start(services, 1)
    (mine,) = claim(services.database, seconds=30)
    assert claim(services.database) == []
    services.database.write(lambda c: pending.QUEUE.hand_back(c, [mine], now=clock.now()))
    (again,) = claim(services.database)
    assert again.id == mine.id
    assert again.idempotency_key == mine.idempotency_key
    assert again.lease_owner != mine.lease_owner


def test_processes_that_claim_at_the_same_moment_never_get_the_same_row(
    app: Flask, services: Services, config: Config
) -> None:
    start(services, 60)

    def one(_: int) -> list[int]:
        database = Database(config.database_url)
        got: list[int] = []
        while rows := claim(database, limit=3):
            got += [row.id for row in rows]
        database.dispose()
        return got

    with ThreadPoolExecutor(8) as pool:
        claimed = [row_id for got in pool.map(one, range(8)) for row_id in got]
    assert len(claimed) == len(set(claimed)) == 60


def test_the_windows_that_close_first_go_first_and_closed_ones_last(services: Services) -> None:
    now = clock.now().timestamp()
    for age in (5, 300, 20, 50):
        services.intake.take(events.started(Stream(), event_ts=int((now - age) * 1000)))
    order = [claim(services.database, limit=1)[0].id for _ in range(4)]
    assert order == [4, 3, 1, 2]


def test_what_was_not_done_is_written_by_the_leases_owner_only(
    recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 1)
    (lost,) = connect.lease(1)
    connect.hand_back([lost])
    (mine,) = connect.lease(1)
    recall.add_fault("reset_before")
    connect.work(lost)
    row = rows.meeting()
    assert (row.state, row.lease_owner, row.attempts) == ("pending", mine.lease_owner, 0)
    connect.work(mine)
    row = rows.meeting()
    assert (row.state, row.lease_owner) == ("connected", None)
    assert row.recall_id == recall.connections[0].id


def test_that_recall_connected_it_is_written_whoever_holds_the_lease(
    recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 1)
    (lost,) = connect.lease(1)
    connect.hand_back([lost])
    (mine,) = connect.lease(1)
    connect.work(lost)
    connected = rows.meeting()
    assert (connected.state, connected.lease_owner) == ("connected", None)
    assert connected.recall_id == recall.connections[0].id
    connect.work(mine)
    assert rows.meeting() == connected
    assert len(recall.connections) == 1


def record(
    services: Services, row: PendingRow, outcome: CreateOutcome, *, seconds_ago: float = 0
) -> object:
    """Record an outcome that was known some seconds ago, and return what came of it."""
    answered_at = clock.now() - timedelta(seconds=seconds_ago)
    attempt = Try(leased=row, sent_at=answered_at, answered_at=answered_at, outcome=outcome)
    return outcomes.record(services.database, services.config, attempt, ())


def test_two_answers_about_one_row_are_one(services: Services, rows: Rows) -> None:
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 1)
    (lost,) = connect.lease(1)
    connect.hand_back([lost])
    (mine,) = connect.lease(1)
    answer = Created(recall_id="7", status="connecting", sub_code=None)
    with ThreadPoolExecutor(2) as pool:
        recorded = list(pool.map(lambda row: record(services, row, answer), (mine, lost)))
    assert recorded.count(None) == 1
    row = rows.meeting()
    assert (row.state, row.recall_id, row.attempts) == ("connected", "7", 1)


def test_outcomes_of_every_kind_are_written_at_the_same_moment(
    services: Services, rows: Rows
) -> None:
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 5)
    answers: list[CreateOutcome] = [
        Created(recall_id="1", status="connecting", sub_code=None),
        RateLimited(retry_after=60.0, error="Recall answered 429."),
        Created(recall_id="3", status="connecting", sub_code=None),
        OutcomeUnknown(retry_after=None, error="Recall did not answer."),
        Refused(error="Recall answered 400."),
    ]
    leased = sorted(connect.lease(5), key=lambda job: job.id)
    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(lambda row, answer: record(services, row, answer), leased, answers))
    written = rows.meetings()
    assert [row.state for row in written] == [
        "connected", "pending", "connected", "pending", "failed",
    ]  # fmt: skip
    assert [row.recall_id for row in written] == ["1", None, "3", None, None]
    assert [row.attempts for row in written] == [1, 0, 1, 1, 1]
    kept = [
        row.idempotency_key == job.idempotency_key for row, job in zip(written, leased, strict=True)
    ]
    assert kept == [True, False, True, True, False]
    assert {row.lease_owner for row in written} == {None}


def test_a_delivery_finds_a_connection_while_many_outcomes_wait_for_the_database(
    recall: RecallSandbox, zoom: Zoom, services: Services
) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite has one writer, whatever waits for it")
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 12)
    leased = connect.lease(12)
    with ThreadPoolExecutor(12) as pool:
        with services.database.engine.begin() as stranger:
            stranger.execute(sa.select(CONNECTS.c.id).with_for_update())
            working = [pool.submit(connect.work, row) for row in leased]
            wait_for(lambda: len(recall.connections) == 12)
            began = time.monotonic()
            assert zoom.deliver(events.started(Stream())).status_code == 200
            assert time.monotonic() - began < 1.0  # outcomes give their connections up after two
        for each in working:
            each.result()


def test_a_429_that_is_recorded_late_closes_the_gate_no_longer_than_recall_said(
    services: Services, rows: Rows
) -> None:
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 1)
    (leased,) = connect.lease(1)
    before = clock.now()
    record(services, leased, RateLimited(retry_after=30.0, error="429"), seconds_ago=3)
    with services.database.read() as connection:
        closed_until = connection.execute(sa.select(GATES.c.closed_until)).scalar_one()
    assert 27 <= (closed_until - before).total_seconds() < 29
    assert rows.meeting().due_at == closed_until


def test_sqlite_claims_without_reading_all_that_waits(services: Services) -> None:
    if not services.database.is_sqlite:
        pytest.skip("PostgreSQL chooses by its statistics")
    start(services, 1)
    seen: list[tuple[str, Any]] = []
    sa.event.listen(
        services.database.engine,
        "before_cursor_execute",
        lambda _1, _2, statement, values, *_3: seen.append((statement, values)),
    )
    claim(services.database)
    statement, values = next(each for each in seen if "chosen" in each[0])
    with services.database.read() as connection:
        plan = [
            row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert any("USING INDEX ix_pending (connect_by>?)" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.slow
def test_a_stream_that_recall_is_still_connecting_is_not_given_up_after_its_window(
    recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    """As after a step of the clock, or where a process died late in the window."""
    recall.set(latency=1.0)
    connect = ConnectJob(services.database, services.recall, services.config)
    start(services, 1)
    (first,) = connect.lease(1)
    calling = Thread(target=services.recall.create_direct_connect, kwargs=connect.request(first))
    calling.start()
    wait_for(lambda: creates(recall))
    connect.hand_back([first])
    (again,) = connect.lease(1)
    over = clock.now() - timedelta(seconds=1)
    services.database.write(lambda c: c.execute(CONNECTS.update().values(connect_by=over)))
    connect.work(again)
    assert rows.meeting().state == "pending"
    calling.join()
    services.start_dispatcher()
    wait_for(lambda: rows.meeting().state == "connected")
    assert len(recall.connections) == 1


@pytest.mark.slow
def test_a_row_whose_process_died_is_connected_when_its_lease_runs_out(
    recall: RecallSandbox, services: Services, rows: Rows
) -> None:
    start(services, 1)
    (orphan,) = claim(services.database, seconds=1.0)
    services.start_dispatcher()
    row = settled(rows)
    assert (row.state, row.recall_id) == ("connected", recall.connections[0].id)
    late = (row.connected_at - orphan.leased_until).total_seconds()
    assert late >= 0
    assert creates(recall)[0].idempotency_key == orphan.idempotency_key


def test_what_may_have_been_connected_an_hour_ago_is_not_connected_again(
    recall: RecallSandbox, services: Services, rows: Rows, runner: FlaskCliRunner
) -> None:
    start(services, 1)
    claim(services.database, seconds=0)
    long_ago = clock.now() - KEY_LIFETIME
    services.database.write(lambda c: c.execute(CONNECTS.update().values(key_used_at=long_ago)))
    services.start_dispatcher()
    row = settled(rows)
    assert (row.state, row.reason) == ("failed", "window_expired")
    assert "meeting_direct_connect_id" in row.last_error
    assert creates(recall) == []
    assert runner.invoke(args=["meetings", "retry", "1"]).exit_code == 0
    wait_for(lambda: rows.meeting().state == "connected")
    assert creates(recall)[0].idempotency_key != row.idempotency_key


@pytest.mark.slow
def test_a_drain_waits_for_what_is_in_flight(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    recall.set(latency=1.0)
    dispatcher = services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: creates(recall))
    assert dispatcher.drain(timeout=20)
    assert rows.meeting().state == "connected"
    zoom.deliver(events.started(Stream()))
    assert [row.lease_owner for row in rows.meetings()] == [None, None]


@pytest.mark.slow
def test_a_drain_that_runs_out_of_time_hands_its_leases_back(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, config: Config
) -> None:
    recall.set(latency=3.0)
    dispatcher = services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: creates(recall))
    assert not dispatcher.drain(timeout=0)
    row = rows.meeting()
    assert row.leased_until <= clock.now()
    # The next process asks under the same key, and there is one connection in the end.
    successor = Services.from_config(config)
    other = successor.start_dispatcher()
    wait_for(lambda: rows.meeting().state == "connected")
    assert other.drain(timeout=20)
    successor.recall.close()
    successor.database.dispose()
    assert len(recall.connections) == 1


def test_the_gate_keeps_the_later_of_two_moments(services: Services) -> None:
    later, sooner = clock.now(), clock.now().replace(year=2020)
    services.database.write(lambda c: paced.close(c, CREATE_GATE, until=later))
    services.database.write(lambda c: paced.close(c, CREATE_GATE, until=sooner))
    with services.database.read() as connection:
        assert connection.scalar(sa.select(GATES.c.closed_until)) == later


@pytest.mark.parametrize(
    "names_it",
    [
        pytest.param(True, marks=pytest.mark.environ(**ZOOM_API)),
        pytest.param(False),  # streams cannot be started, so the database is not asked
    ],
)
def test_the_log_names_the_stream_that_a_connected_one_goes_on_from(
    recall: RecallSandbox, services: Services, names_it: bool
) -> None:
    services.intake.take(events.started(Stream()))
    services.intake.take(events.started(Stream()))
    lost = {"state": "ended", "due_at": None, "connected_at": clock.now(), "restarted_as": 2}
    lost["stopped_at"] = clock.now() - timedelta(seconds=14)
    services.database.write(
        lambda c: c.execute(CONNECTS.update().where(CONNECTS.c.id == 1).values(lost))
    )
    counts = Counts()
    job = ConnectJob(services.database, services.recall, services.config, counts)
    (row,) = job.lease(1)
    with capture_logs() as logs:
        job.work(row)
    (line,) = (line for line in logs if line["event"] == "connected")
    assert line.get("restart_of") == (1 if names_it else None)
    assert ("gap_seconds" in line) is names_it
    assert 14 <= line.get("gap_seconds", 14) < 30
    _, took = read_counts(counts.snapshot())
    assert took["rtms_gap_seconds"][-1] == line.get("gap_seconds", 0)
