"""A user's next stream of a meeting, a host who hands the meeting over, and servers that an
interruption names."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from config import Config
from rtms.db.database import Database
from rtms.intake.deliveries import Intake
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_intake import connect, in_flight, take

SERVERS = "wss://rtms-other.zoom.example:443"


def next_of(stream: Stream) -> Stream:
    """The same user's next stream of the same meeting."""
    return stream.beside(operator_id=stream.operator_id)


# ---- the same user


def assert_the_next_takes_the_place(services: Services, rows: Rows) -> None:
    stream = Stream(is_original_host=True)
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    later = next_of(stream)
    taken = services.intake.take(events.started(later))
    older, newer = rows.meetings()
    assert (taken.outcome, taken.is_due, taken.row_id) == ("accepted", True, newer.id)
    assert f"replaces meeting {older.id}" in taken.detail
    assert (older.state, older.superseded_by) == ("ended", newer.id)
    assert older.due_at is not None  # what it recorded until now is followed
    assert (newer.state, newer.rtms_stream_id) == ("pending", later.rtms_stream_id)


@pytest.mark.environ(RECORD_STREAMS="all")
def test_a_users_next_stream_takes_the_older_ones_place(services: Services, rows: Rows) -> None:
    assert_the_next_takes_the_place(services, rows)


@pytest.mark.environ(RECORD_STREAMS="first")
def test_it_does_so_where_only_the_first_stream_of_a_meeting_is_wanted(
    services: Services, rows: Rows
) -> None:
    assert_the_next_takes_the_place(services, rows)
    someone_else = Stream(meeting_uuid=rows.meetings()[0].meeting_uuid)
    assert take(services, events.started(someone_else)) == ["ignored"]


@pytest.mark.environ(RECORD_STREAMS="host")
def test_it_does_so_where_only_the_hosts_stream_is_wanted(services: Services, rows: Rows) -> None:
    assert_the_next_takes_the_place(services, rows)


def test_the_older_streams_stop_is_kept_with_its_row(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    later = next_of(stream)
    take(services, events.started(later), events.stopped(stream, 13))
    older, newer = rows.meetings()
    assert (older.state, older.stop_reason) == ("ended", 13)
    assert (newer.state, newer.stop_reason) == ("pending", None)
    take(services, events.stopped(later, 6))
    assert rows.meetings()[1].stop_reason == 6


def test_an_older_stream_that_comes_late_does_not_push_out_the_next(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    older, newer = events.started(stream), events.started(next_of(stream))
    assert take(services, newer, older) == ["accepted", "ignored"]
    live, late = rows.meetings()
    assert (live.state, late.state, late.reason) == ("pending", "skipped", "stopped_first")
    assert f"meeting {live.id}" in late.last_error


def test_another_users_stream_of_the_meeting_is_recorded_too(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    take(services, events.started(stream), events.started(stream.beside()))
    assert [row.state for row in rows.meetings()] == ["pending", "pending"]


def test_of_two_streams_of_a_user_that_come_at_once_the_later_one_is_live(
    services: Services, config: Config, rows: Rows
) -> None:
    """Two processes take them in at the same moment, in many meetings."""
    other = Database(config.database_url)
    processes = [services.intake, Intake(other, config)]
    streams = [Stream() for _ in range(8)]
    pairs = [(events.started(one), events.started(next_of(one))) for one in streams]
    barrier = Barrier(2)

    def deliver(which: int) -> None:
        for pair in pairs:
            barrier.wait(timeout=20)
            processes[which].take(pair[which])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, range(2)))
    other.dispose()
    for stream, pair in zip(streams, pairs, strict=True):
        mine = [row for row in rows.meetings() if row.meeting_uuid == stream.meeting_uuid]
        live = [row.event_ts for row in mine if row.state == "pending"]
        assert live == [pair[1]["event_ts"]]


# ---- the host


@pytest.mark.environ(RECORD_STREAMS="host")
def test_a_user_who_was_recorded_stays_wanted_after_the_host_changed(
    services: Services, rows: Rows
) -> None:
    stream = Stream(is_original_host=True)
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    take(services, events.stopped(stream, 10))
    again = replace(next_of(stream), is_original_host=False)
    assert take(services, events.started(again)) == ["accepted"]
    assert rows.meetings()[1].state == "pending"


@pytest.mark.environ(RECORD_STREAMS="host")
def test_a_user_who_was_never_wanted_is_not_wanted_the_next_time(
    services: Services, rows: Rows
) -> None:
    guest = Stream(is_original_host=False)
    take(services, events.started(guest), events.stopped(guest), events.started(next_of(guest)))
    assert [row.reason for row in rows.meetings()] == ["not_wanted", "not_wanted"]


@pytest.mark.environ(RECORD_STREAMS="host")
def test_a_guests_stream_that_was_over_at_once_makes_no_later_one_wanted(
    services: Services, rows: Rows
) -> None:
    guest = Stream(is_original_host=False)
    start, stop = events.started(guest), events.stopped(guest)
    take(services, stop, start, events.started(next_of(guest)))
    assert [row.reason for row in rows.meetings()] == ["stopped_first", "not_wanted"]


@pytest.mark.environ(RECORD_STREAMS="host")
def test_users_whom_zoom_does_not_name_are_not_taken_for_one(
    services: Services, rows: Rows
) -> None:
    host = Stream(is_original_host=True)
    guest = host.beside(is_original_host=False)
    for stream in (host, guest):
        start = events.started(stream)
        del start["payload"]["operator_id"]
        take(services, start)
    assert [row.reason for row in rows.meetings()] == [None, "not_wanted"]


# ---- an interruption that names servers


def ready(services: Services, rows: Rows, become: Callable[[Services, int], None]) -> Stream:
    """A stream of which Zoom said all there is to say, and its row."""
    stream = Stream(meeting_id=85551234567, is_original_host=True)
    take(services, events.started(stream))
    become(services, rows.meeting().id)
    return stream


@pytest.mark.parametrize("become", [connect, in_flight, lambda services, id: None])
def test_an_interruption_with_other_servers_is_a_failover(
    services: Services, rows: Rows, become: Callable[[Services, int], None]
) -> None:
    stream = ready(services, rows, become)
    event = events.interrupted(stream, server_urls=SERVERS)
    taken = services.intake.take(event)
    older, newer = rows.meetings()
    assert (taken.outcome, taken.is_due, taken.row_id) == ("accepted", True, newer.id)
    assert (older.state, older.superseded_by) == ("ended", newer.id)
    assert older.interrupted_at is not None
    assert (newer.state, newer.server_urls) == ("pending", SERVERS)
    # What an interruption does not say, the start had said.
    for name in ("meeting_uuid", "meeting_id", "operator_id", "is_original_host", "product"):
        assert getattr(newer, name) == getattr(older, name), name
    assert take(services, event) == ["duplicate"]
    take(services, events.stopped(stream, 6))
    assert [row.stop_reason for row in rows.meetings()] == [None, 6]


@pytest.mark.parametrize("servers", [None, "the same"])
def test_an_interruption_without_other_servers_is_waited_out(
    services: Services, rows: Rows, servers: str | None
) -> None:
    stream = ready(services, rows, connect)
    urls = f" {stream.server_urls} " if servers else None
    taken = services.intake.take(events.interrupted(stream, server_urls=urls))
    row = rows.meeting()
    assert (taken.outcome, taken.is_due) == ("accepted", False)
    assert (row.state, row.interrupted_at is not None) == ("connected", True)


def test_a_start_that_its_interruption_overtook_is_connected_through_the_later_servers(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    start = events.started(stream)
    moved = events.interrupted(stream, server_urls=SERVERS)
    assert take(services, moved, start) == ["accepted", "duplicate"]
    assert rows.meeting().server_urls == SERVERS


def test_an_interruption_of_a_stream_that_is_over_changes_nothing(
    services: Services, rows: Rows
) -> None:
    stream = ready(services, rows, connect)
    start, stop = events.interrupted(stream, server_urls=SERVERS), events.stopped(stream)
    take(services, stop, start)
    assert rows.meeting().state == "ended"


def test_a_failover_told_by_an_interruption_reaches_recall(
    services: Services, recall: RecallSandbox, zoom: Zoom, rows: Rows
) -> None:
    services.start_dispatcher()
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    zoom.deliver(events.interrupted(stream, server_urls=SERVERS))
    wait_for(lambda: rows.meetings()[-1].state == "connected" and len(rows.meetings()) == 2)
    assert [each.server_urls for each in recall.connections] == [stream.server_urls, SERVERS]


# ---- products that Recall does not connect


def unsupported() -> list[dict[str, Any]]:
    told = {"rtms_stream_id": "s", "server_urls": "wss://a"}
    return [
        {"event": "contact_center.voice_rtms_started", "payload": {"engagement_id": "e", **told}},
        {"event": "phone.rtms_started", "payload": {"call_id": "c", "rtms_stream_id": "s"}},
    ]


@pytest.mark.parametrize("body", unsupported(), ids=["contact center", "phone"])
def test_streams_of_other_products_are_rows_that_say_why_they_are_skipped(
    services: Services, rows: Rows, body: dict[str, Any]
) -> None:
    product = body["event"].partition(".")[0]
    start = {**body, "event_ts": events.now_ms()}
    stop = {
        "event": body["event"].replace("started", "stopped"),
        "event_ts": events.now_ms(),
        "payload": {"rtms_stream_id": "s", "stop_reason": 6},
    }
    assert take(services, start, start, stop) == ["ignored", "duplicate", "accepted"]
    row = rows.meeting()
    assert (row.product, row.state, row.reason) == (product, "skipped", "unsupported")
    assert row.stop_reason == 6
    assert "Recall connects meetings and webinars" in row.last_error
