"""The window is counted on Zoom's own clock, however far it is from ours."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from rtms.intake.connect_window import window_closes_at
from rtms.intake.results import Arrival
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EVENT_TS = int(AT.timestamp() * 1000)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize(
    ("received", "sent", "left"),
    [
        (0.4, 0.2, 59.8),
        (75.4, 0.2, 59.8),  # our clock is ahead of Zoom's
        (-75.0, 0.2, 59.8),  # and behind
        (0.4, -1.0, 60.0),  # a header has whole seconds
        (21.0, 20.0, 40.0),
        (301.0, 300.0, -240.0),  # redelivered
        (12.0, None, 48.0),  # recorded by a version that did not keep it
        (-5.0, None, 60.0),
    ],
)
def test_what_is_left_of_the_window(received: float, sent: float | None, left: float) -> None:
    received_at = AT + seconds(received)
    arrival = Arrival(
        received_at=received_at,
        sent_at=None if sent is None else AT + seconds(sent),
        tracking_id=None,
    )
    assert window_closes_at(EVENT_TS, arrival, seconds=60) == received_at + seconds(left)


def test_a_stored_delivery_that_is_taken_up_later_has_what_is_left_by_then() -> None:
    came = Arrival(received_at=AT + seconds(80), sent_at=AT + seconds(5), tracking_id=None)
    now = came.received_at + seconds(20)
    assert window_closes_at(EVENT_TS, came.moved_to(now), seconds=60) == now + seconds(35)


@pytest.mark.parametrize("ahead", [75.0, -75.0], ids=["our clock ahead", "our clock behind"])
def test_a_start_that_meets_one_503_is_connected_by_the_second_try_whatever_our_clock_says(
    services: Services, recall: RecallSandbox, zoom: Zoom, rows: Rows, ahead: float
) -> None:
    recall.add_fault(Fault(kind="status", status=503, path="create"))
    services.start_dispatcher()
    body = events.started(Stream(), event_ts=int((time.time() - ahead) * 1000))
    assert zoom.deliver(body, age=ahead).status_code == 200
    row = wait_for(lambda: (row := rows.meeting()).state == "connected" and row)
    assert row.attempts == 2
    left = row.connect_by - row.received_at
    assert timedelta(seconds=58) < left <= timedelta(seconds=60)
    assert rows.events()[0].sent_at.timestamp() == pytest.approx(time.time() - ahead, abs=10)


@pytest.mark.parametrize(
    "event_ts", [1, 0, -1, 1_796_000_000, 1_796_000_000_000_000, 10**30], ids=str
)
def test_an_event_ts_that_cannot_be_one_does_not_cost_the_retries(
    services: Services, recall: RecallSandbox, zoom: Zoom, rows: Rows, event_ts: int
) -> None:
    recall.add_fault(Fault(kind="status", status=503, path="create"))
    services.start_dispatcher()
    stream = Stream()
    body = events.started(stream, event_ts=event_ts)
    assert zoom.deliver(body).get_json()["outcome"] == "accepted"
    assert zoom.deliver(body).get_json()["outcome"] == "duplicate"
    row = wait_for(lambda: (row := rows.meeting()).state == "connected" and row)
    assert row.attempts == 2
    stop = events.stopped(stream, event_ts=event_ts)
    zoom.deliver(stop)
    assert rows.meeting().stop_reason == 6


def test_a_redelivery_has_its_first_try_and_no_more(
    services: Services, recall: RecallSandbox, zoom: Zoom, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="status", status=503, path="create", times=None))
    services.start_dispatcher()
    zoom.deliver(events.started(Stream(), event_ts=int((time.time() - 300) * 1000)))
    row = wait_for(lambda: (row := rows.meeting()).state == "failed" and row)
    assert (row.reason, row.attempts) == ("window_expired", 1)
