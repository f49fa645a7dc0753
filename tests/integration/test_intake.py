"""What deliveries mean for the table: Zoom's rules for repeats, overtaking and several streams."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from config import Config
from models import CONNECTS
from rtms import clock
from rtms.db.database import Database
from rtms.intake.deliveries import Intake
from rtms.intake.results import IntakeResult
from rtms.jobs.connect.job import ConnectJob
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for


def take(services: Services, *bodies: dict[str, Any]) -> list[str]:
    """Take deliveries in, one after another; returns their outcomes."""
    return [services.intake.take(body).outcome for body in bodies]


def connect(services: Services, row_id: int) -> None:
    """Pretend that a row was connected."""
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == row_id)
            .values(
                state="connected",
                recall_id=f"recall-{row_id}",
                due_at=None,
                key_used_at=clock.now(),
            )
        )
    )


def in_flight(services: Services, row_id: int) -> None:
    """Pretend that a process is connecting a row."""
    now = clock.now()
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == row_id)
            .values(lease_owner="x", leased_until=now + timedelta(minutes=1), key_used_at=now)
        )
    )


# ---- the five rows of "what a repeated rtms_started means"


def test_a_redelivery_is_nothing_new(services: Services, rows: Rows) -> None:
    body = events.started(Stream())
    assert take(services, body, body, body) == ["accepted", "duplicate", "duplicate"]
    assert len(rows.meetings()) == len(rows.events()) == 1


def test_a_second_subscription_with_another_clock_is_a_duplicate(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    assert take(services, events.started(stream), events.started(stream)) == [
        "accepted",
        "duplicate",
    ]
    assert len(rows.meetings()) == 1
    assert [event.outcome.split(":")[0] for event in rows.events()] == ["accepted", "duplicate"]


def test_the_same_servers_in_another_order_are_the_same(services: Services) -> None:
    first = Stream(server_urls="wss://a:443,wss://b:443")
    again = Stream(**{**vars(first), "server_urls": "wss://b:443, wss://a:443"})
    assert take(services, events.started(first), events.started(again)) == ["accepted", "duplicate"]


@pytest.mark.parametrize("before", [None, connect, in_flight])
def test_other_servers_take_the_place_of_a_live_connection(
    services: Services, rows: Rows, before: Callable[[Services, int], None] | None
) -> None:
    stream = Stream()
    take(services, events.started(stream))
    if before:
        before(services, rows.meeting().id)
    assert take(services, events.failover(stream)) == ["accepted"]
    older, newer = rows.meetings()
    assert (older.state, older.superseded_by) == ("ended", newer.id)
    assert bool(older.due_at) == bool(older.recall_id)  # what it recorded is followed
    assert (newer.state, newer.superseded_by) == ("pending", None)
    assert newer.server_urls != older.server_urls
    assert newer.idempotency_key != older.idempotency_key


def test_a_start_that_a_failover_overtook_does_not_undo_it(services: Services, rows: Rows) -> None:
    stream = Stream()
    first, failover = events.started(stream), events.failover(stream)
    assert take(services, failover, first) == ["accepted", "duplicate"]
    assert rows.meeting().server_urls == failover["payload"]["server_urls"]


def test_a_stream_that_was_stopped_and_started_again_is_connected_anew(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    assert take(services, events.stopped(stream, 2), events.started(stream)) == [
        "accepted",
        "accepted",
    ]
    older, newer = rows.meetings()
    assert (older.state, older.stop_reason, older.superseded_by) == ("ended", 2, None)
    assert newer.state == "pending"


def test_a_start_whose_stop_came_first_is_kept_and_not_connected(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    start, stop = events.started(stream), events.stopped(stream, 6)
    assert take(services, stop, start, start) == ["accepted", "ignored", "duplicate"]
    row = rows.meeting()
    assert (row.state, row.reason, row.due_at) == ("skipped", "stopped_first", None)
    assert (row.stop_reason, row.stopped_at.timestamp()) == (6, stop["event_ts"] / 1000)
    assert "already over" in row.last_error


def test_a_stop_of_an_earlier_run_does_not_end_the_next(services: Services, rows: Rows) -> None:
    stream = Stream()
    first, stop, second = (
        events.started(stream),
        events.stopped(stream),
        events.started(stream),
    )
    assert take(services, second, stop, first) == ["accepted", "accepted", "duplicate"]
    assert rows.meeting().state == "pending"


def test_a_failed_stream_that_starts_again_gets_another_chance(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    take(services, events.started(stream))
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update().values(state="failed", reason="refused", due_at=None)
        )
    )
    assert take(services, events.started(stream)) == ["accepted"]
    assert [row.state for row in rows.meetings()] == ["failed", "pending"]


def test_a_restart_that_overtook_its_own_stop_is_connected_anew(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    start, stop, restart = events.started(stream), events.stopped(stream), events.started(stream)
    services.intake.take(start)
    connect(services, rows.meeting().id)
    assert take(services, restart) == ["duplicate"]
    taken = services.intake.take(stop)
    older, newer = rows.meetings()
    assert (older.state, newer.state) == ("ended", "pending")
    assert newer.event_ts == restart["event_ts"]
    assert taken.is_due
    assert f"meeting {newer.id}" in taken.detail
    assert [event.outcome.split(":")[0] for event in rows.events()] == ["accepted"] * 3
    assert take(services, stop, restart) == ["duplicate", "duplicate"]


# ---- stops and interruptions


def test_a_stop_before_any_try_skips_the_row(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream), events.stopped(stream, 6))
    row = rows.meeting()
    assert (row.state, row.reason, row.stop_reason) == ("skipped", "stopped_first", 6)
    assert "the meeting ended" in row.last_error


def test_a_stop_during_a_try_waits_for_its_outcome(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream))
    in_flight(services, rows.meeting().id)
    take(services, events.stopped(stream, 6))
    row = rows.meeting()
    assert (row.state, row.stop_reason, row.lease_owner) == ("pending", 6, "x")
    assert take(services, events.started(stream)) == ["accepted"]


def test_an_interruption_is_kept_with_the_row(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    event = events.interrupted(stream)
    take(services, event)
    row = rows.meeting()
    assert (row.state, row.interrupted_at.timestamp()) == ("connected", event["event_ts"] / 1000)


def bare(event: str) -> dict[str, Any]:
    return {"event": event, "event_ts": events.now_ms(), "payload": {}}


@pytest.mark.parametrize(
    ("body", "level", "words"),
    [
        (events.stopped(Stream(), 6), "info", "the meeting ended"),
        (events.stopped(Stream(), 14), "warning", "data connection was interrupted"),
        (events.stopped(Stream(), 18), "error", "ZOOM_CLIENT_SECRET is wrong"),
        (events.stopped(Stream(), 99), "info", "Zoom's reason 99"),
        (events.interrupted(Stream()), "warning", "signalling connection broke"),
        (events.concurrency_near_limit(), "warning", "1601 of the 2000 streams"),
        (events.concurrency_limited(Stream()), "error", "Zoom started no stream"),
        (
            bare("rtms.concurrency_near_limit"),
            "warning",
            "close to the number of streams that Zoom",
        ),
        (bare("rtms.concurrency_limited"), "error", "for a meeting that it does not name: the"),
    ],
)
def test_what_zoom_says_is_recorded_in_words_and_logged_as_loud_as_it_matters(
    services: Services, rows: Rows, body: dict[str, Any], level: str, words: str
) -> None:
    taken = services.intake.take(body)
    assert (taken.outcome, taken.level) == ("accepted", level)
    (event,) = rows.events()
    assert words in event.outcome
    assert "None" not in event.outcome


# ---- which streams are wanted


def test_all_streams_of_a_meeting_are_recorded_by_default(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream), events.started(stream.beside()))
    assert [row.state for row in rows.meetings()] == ["pending", "pending"]


@pytest.mark.environ(RECORD_STREAMS="first")
def test_first_means_one_live_stream_a_meeting(services: Services, rows: Rows) -> None:
    first = Stream()
    second = first.beside()
    take(services, events.started(first), events.started(second), events.failover(first))
    assert [(row.state, row.reason) for row in rows.meetings()] == [
        ("ended", None),
        ("skipped", "not_wanted"),
        ("pending", None),
    ]
    assert take(services, events.started(second)) == ["duplicate"]
    take(services, events.stopped(first))
    assert take(services, events.started(second)) == ["accepted"]


@pytest.mark.environ(RECORD_STREAMS="host")
def test_host_means_the_original_hosts_stream(services: Services, rows: Rows) -> None:
    host, guest, unsaid = (Stream(is_original_host=who) for who in (True, False, None))
    take(services, *(events.started(stream) for stream in (host, guest, unsaid)))
    assert [(row.state, row.reason) for row in rows.meetings()] == [
        ("pending", None),
        ("skipped", "not_wanted"),
        ("pending", None),
    ]
    assert "RECORD_STREAMS=host" in rows.meetings()[1].last_error


def test_a_video_sdk_session_is_skipped_with_its_reason(services: Services, rows: Rows) -> None:
    stream = Stream(product="session")
    assert take(services, events.started(stream), events.started(stream)) == [
        "ignored",
        "duplicate",
    ]
    row = rows.meeting()
    assert (row.state, row.reason, row.product) == ("skipped", "unsupported", "session")
    assert "Video SDK" in row.last_error
    take(services, events.stopped(stream))
    assert rows.meeting().stop_reason == 6


# ---- the window


def test_the_window_runs_from_zooms_clock(services: Services, rows: Rows) -> None:
    sent_at = clock.now() - timedelta(seconds=20)
    take(services, events.started(Stream(), event_ts=int(sent_at.timestamp() * 1000)))
    assert abs((rows.meeting().connect_by - sent_at).total_seconds() - 60) < 0.01


def test_a_senders_clock_that_is_ahead_does_not_lengthen_the_window(
    services: Services, rows: Rows
) -> None:
    ahead = clock.now() + timedelta(minutes=5)
    take(services, events.started(Stream(), event_ts=int(ahead.timestamp() * 1000)))
    row = rows.meeting()
    assert row.connect_by - row.received_at == timedelta(seconds=60)


# ---- at the same moment


def at_once(config: Config, *bodies: dict[str, Any]) -> list[IntakeResult]:
    """Take deliveries in at the same moment, each as a process of its own would."""
    barrier = Barrier(len(bodies))

    def one(body: dict[str, Any]) -> IntakeResult:
        database = Database(config.database_url)
        try:
            barrier.wait()
            return Intake(database, config).take(body)
        finally:
            database.dispose()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(one, bodies))


def test_the_same_delivery_at_the_same_moment_makes_one_row(
    app: Flask, config: Config, rows: Rows
) -> None:
    body = events.started(Stream())
    taken = at_once(config, *[body] * 12)
    assert sorted(one.outcome for one in taken) == ["accepted"] + ["duplicate"] * 11
    assert sum(one.is_due for one in taken) == 1
    assert len(rows.meetings()) == len(rows.events()) == 1


def test_starts_of_one_stream_at_the_same_moment_leave_one_live_row(
    app: Flask, config: Config, rows: Rows
) -> None:
    stream = Stream()
    bodies = [events.started(stream.moved()) for _ in range(8)]
    at_once(config, *bodies)
    live = [row for row in rows.meetings() if row.state == "pending"]
    assert [row.event_ts for row in live] == [max(body["event_ts"] for body in bodies)]


@pytest.mark.environ(RECORD_STREAMS="first")
def test_streams_of_one_meeting_at_the_same_moment_fill_one_slot(
    app: Flask, config: Config, rows: Rows
) -> None:
    stream = Stream()
    at_once(config, *[events.started(stream.beside()) for _ in range(8)])
    assert sorted(row.state for row in rows.meetings()) == ["pending"] + ["skipped"] * 7


def test_a_start_and_its_stop_at_the_same_moment_leave_nothing_to_connect(
    app: Flask, config: Config, rows: Rows
) -> None:
    streams = [Stream() for _ in range(6)]
    pairs = [(events.started(stream), events.stopped(stream)) for stream in streams]
    at_once(config, *[body for pair in pairs for body in pair])
    assert {(row.state, row.reason, row.stop_reason) for row in rows.meetings()} == {
        ("skipped", "stopped_first", 6)
    }


def test_a_stop_at_the_moment_of_a_connect_leaves_no_half_of_each(
    recall: RecallSandbox, app: Flask, services: Services, config: Config, rows: Rows
) -> None:
    """The dispatcher claims and settles a row while its stop is taken in."""
    connect = ConnectJob(services.database, services.recall, config)
    other = Database(config.database_url)
    intake = Intake(other, config)
    barrier = Barrier(2)

    def dispatch() -> None:
        barrier.wait()
        for job in connect.lease(1):
            connect.work(job)

    with ThreadPoolExecutor(1) as pool:
        for _ in range(40):
            stream = Stream()
            services.intake.take(events.started(stream))
            dispatched = pool.submit(dispatch)
            barrier.wait()
            intake.take(events.stopped(stream))
            dispatched.result()
    other.dispose()
    for row in rows.meetings():
        connected = (row.state, row.reason) == ("ended", None) and row.recall_id
        skipped = (row.state, row.reason) == ("skipped", "stopped_first") and not row.recall_id
        assert connected or skipped, row
    assert len(recall.connections) == sum(bool(row.recall_id) for row in rows.meetings())


def test_the_database_refuses_a_second_live_row_of_a_stream(services: Services, rows: Rows) -> None:
    take(services, events.started(Stream()))
    copy = {**rows.meeting()._mapping, "id": 77, "event_ts": 1}
    with services.database.engine.begin() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(CONNECTS.insert().values(copy))


def test_a_commit_that_fails_gets_503_and_leaves_nothing(
    zoom: Zoom, services: Services, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced, because no real database fails its commit when it is asked to."""
    body = events.started(Stream())

    def fail(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("the disk is full"))

    sa.event.listen(services.database.engine, "commit", fail)
    answer = zoom.deliver(body)
    sa.event.remove(services.database.engine, "commit", fail)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert rows.meetings() == rows.events() == []
    assert zoom.deliver(body).status_code == 200
    assert rows.meeting().state == "pending"


def test_it_is_crowded_where_several_deliveries_come_together_and_soon_not_any_more(
    services: Services,
) -> None:
    services.intake.take(events.started(Stream()))
    assert not services.intake.is_crowded
    several = [services.intake.begin(events.started(Stream())) for _ in range(4)]
    assert all(ticket.result().outcome == "accepted" for ticket in several)
    wait_for(lambda: not services.intake.is_crowded)


def test_it_is_crowded_while_the_answers_to_several_are_on_their_way(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtms.intake.deliveries._CROWD_SECONDS", 60.0)
    several = [services.intake.begin(events.started(Stream())) for _ in range(4)]
    several[0].result()
    assert services.intake.is_crowded
    services.intake.take(events.started(Stream()))
    assert not services.intake.is_crowded
