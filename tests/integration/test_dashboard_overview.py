"""The overview: its numbers against the rows they come from."""

from __future__ import annotations

import itertools
import re
import threading
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask

from models import ATTEMPTS, CONNECTS, GATES, PROCESSES, Reason, State
from rtms import clock
from rtms.dashboard.meetings.advice import for_pages
from rtms.dashboard.overview import cache, snapshot, totals
from rtms.dashboard.overview.totals import Totals
from rtms.services import Services
from rtms.states import EXPLANATIONS
from sandbox import Stream, events
from tests.dashboard import PASSWORD, log_in
from tests.integration.conftest import Zoom

pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)

_numbers = itertools.count()
_REASONS = {State.FAILED: Reason.WINDOW_EXPIRED, State.SKIPPED: Reason.STOPPED_FIRST}


@pytest.fixture(autouse=True)
def always_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows what there is now, and not what there was a second ago."""
    monkeypatch.setattr(cache, "SECONDS", 0.0)


def row(state: State, *, ago: timedelta, **values: Any) -> dict[str, Any]:
    """A connection that began so long ago and now stands so."""
    at = clock.now() - ago
    number = next(_numbers)
    connected = state in (State.CONNECTED, State.ENDED, State.DONE)
    return {
        "rtms_stream_id": f"stream-{number}",
        "meeting_uuid": f"uuid-{number}==",
        "meeting_id": str(81_000_000_000 + number),
        "product": "meeting",
        "server_urls": "wss://rtms.zoom.signature.example",
        "event_ts": int(at.timestamp() * 1000),
        "state": state,
        "reason": _REASONS.get(state),
        "recall_id": f"recall-{number}" if connected else None,
        "attempts": 1,
        "last_error": None,
        "due_at": at if state == State.PENDING else None,
        "connect_by": at + timedelta(seconds=60),
        "idempotency_key": f"key-{number}",
        "received_at": at,
        "connected_at": at + timedelta(seconds=1.5) if connected else None,
        "leased_until": None,
        "lease_owner": None,
        "stopped_at": None,
        "stop_reason": None,
        **values,
    }


def put(services: Services, *rows: dict[str, Any]) -> None:
    """Write rows as they came: the oldest first."""
    ordered = sorted(rows, key=lambda each: each["received_at"])
    services.database.write(lambda c: c.execute(CONNECTS.insert(), ordered))


def put_process(services: Services, name: str, *, dispatches: bool, ago: timedelta) -> None:
    now = clock.now()
    values = {
        "name": name, "kind": "web", "host": "host", "pid": 1, "dispatches": dispatches,
        "started_at": now - timedelta(days=1), "seen_at": now - ago, "counts": [],
    }  # fmt: skip
    services.database.write(lambda c: c.execute(PROCESSES.insert().values(values)))


def words_of(app: Flask) -> str:
    """The overview's text, without its tags."""
    answer = log_in(app).get("/")
    assert answer.status_code == 200
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


SECONDS, MINUTES = timedelta(seconds=1), timedelta(minutes=1)
HOURS, DAYS = timedelta(hours=1), timedelta(days=1)


def test_an_empty_table_says_what_to_do(app: Flask) -> None:
    words = words_of(app)
    assert "No meetings yet. The first one will appear here." in words
    assert "/zoom-webhook" in words
    assert "meeting.rtms_started" in words


def test_meetings_are_counted_by_outcome_over_an_hour_a_day_and_a_week(
    app: Flask, services: Services
) -> None:
    put(
        services,
        *[row(State.DONE, ago=9 * MINUTES) for _ in range(3)],
        row(State.CONNECTED, ago=10 * MINUTES),
        row(State.FAILED, ago=59 * MINUTES),
        row(State.ENDED, ago=2 * HOURS),
        row(State.FAILED, ago=23 * HOURS),
        row(State.SKIPPED, ago=23 * HOURS),
        row(State.DONE, ago=25 * HOURS),
        row(State.SKIPPED, ago=6 * DAYS),
        row(State.DONE, ago=8 * DAYS),
        row(State.FAILED, ago=8 * DAYS),
    )
    words = words_of(app)
    assert "the last hour 4 1 0" in words
    assert "the last day 5 2 1" in words
    assert "the last week 6 2 2" in words


def test_each_hour_of_the_chart_has_what_began_in_it(services: Services) -> None:
    now = clock.now().replace(minute=30)
    hour = now.replace(minute=0, second=0, microsecond=0)
    moments = [hour - 24 * HOURS, hour - 23 * HOURS, hour - 23 * HOURS + 59 * MINUTES,
               hour - 1 * MINUTES, hour, hour + 10 * MINUTES]  # fmt: skip
    put(services, *(row(State.DONE, ago=clock.now() - at, received_at=at) for at in moments))
    with services.database.read() as connection:
        history = totals.read(connection, now=now)
    began = {at: each.captured for at, each in history.hours if each != Totals()}
    assert began == {hour - 23 * HOURS: 2, hour - HOURS: 1, hour: 2}
    assert len(history.hours) == 24
    assert history.last_day == Totals(captured=5)


def test_all_is_well(app: Flask, services: Services) -> None:
    put(services, *[row(State.CONNECTED, ago=n * MINUTES, meeting_id=f"8{n}") for n in range(1, 8)])
    words = words_of(app)
    assert "All is well: 7 meetings live, nothing waiting." in words
    assert re.search(r"Live now All 7 81 connected 5\d s ago 82 connected 11\d s ago", words)
    assert "86" not in words.partition("Results")[0]  # the newest five


def test_a_failure_says_why_and_what_to_do(app: Flask, services: Services) -> None:
    refused = {"reason": Reason.REFUSED, "last_error": "Recall answered 400: no such region."}
    put(
        services,
        row(State.FAILED, ago=5 * MINUTES, **refused),
        *(row(State.FAILED, ago=minutes * MINUTES) for minutes in (6, 7)),
        row(State.FAILED, ago=6 * DAYS),
    )
    words = words_of(app)
    assert "3 meetings failed in the last hour: 2 not connected in time, 1 refused by Recall." in (
        words
    )
    assert "Recall answered 400: no such region." in words
    assert "Fix what the error names." in words
    assert "If the meeting is still on, use Retry at once: Zoom may still wait." in words
    assert "The meeting is over and was not recorded." in words


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.WINDOW_EXPIRED, Reason.RECALL_FAILED])
def test_every_way_to_fail_has_its_words(app: Flask, services: Services, reason: Reason) -> None:
    put(services, row(State.FAILED, ago=5 * MINUTES, reason=reason))
    means = EXPLANATIONS[reason]
    assert f"{means.short} {for_pages(means.todo)}" in words_of(app)


def test_the_ten_newest_failures_of_the_week_are_listed(app: Flask, services: Services) -> None:
    put(
        services,
        *[row(State.FAILED, ago=n * HOURS, meeting_id=f"9000{n:02}") for n in range(2, 14)],
    )
    words = words_of(app)
    listed = [f"9000{n:02}" for n in range(2, 14) if f"9000{n:02}" in words]
    assert listed == [f"9000{n:02}" for n in range(2, 12)]


def test_the_oldest_that_waits_is_named_with_its_age(app: Flask, services: Services) -> None:
    put_process(services, "web", dispatches=True, ago=SECONDS)
    put(services, row(State.PENDING, ago=40 * SECONDS), row(State.PENDING, ago=2 * SECONDS))
    page = log_in(app).get("/").text
    with services.database.read() as connection:
        oldest = snapshot.read(connection, now=clock.now()).oldest_waiting
    assert oldest
    assert f'<a href="/meetings/{oldest.id}">The oldest</a>: for 4' in page
    assert "2 meetings are waiting to be connected, the oldest for 4" in page


def test_nobody_connects_is_an_alarm_once_something_is_due(app: Flask, services: Services) -> None:
    put_process(services, "gone", dispatches=True, ago=90 * SECONDS)
    put_process(services, "receives", dispatches=False, ago=SECONDS)
    put(services, row(State.DONE, ago=2 * DAYS))
    assert "No process connects streams" not in words_of(app)
    put(services, row(State.PENDING, ago=2 * SECONDS))
    assert "No process connects streams" not in words_of(app)
    put(services, row(State.PENDING, ago=8 * SECONDS))
    assert "No process connects streams: 2 meetings are waiting." in words_of(app)


@pytest.mark.parametrize(
    "values",
    [
        {"due_at": clock.now() + DAYS},
        {"lease_owner": "another", "leased_until": clock.now() + HOURS},
    ],
    ids=["not due", "being tried"],
)
def test_what_is_taken_or_not_due_is_no_alarm(
    app: Flask, services: Services, values: dict[str, Any]
) -> None:
    put(services, row(State.PENDING, ago=8 * SECONDS, **values))
    assert "No process connects streams" not in words_of(app)


def test_processes_are_those_that_were_seen_within_a_minute(app: Flask, services: Services) -> None:
    assert "Processes 0" in words_of(app)
    put_process(services, "one", dispatches=True, ago=5 * SECONDS)
    put_process(services, "two", dispatches=False, ago=50 * SECONDS)
    put_process(services, "three", dispatches=True, ago=70 * SECONDS)
    assert "Processes 2 1 connects streams" in words_of(app)


def test_a_closed_gate_says_until_when(app: Flask, services: Services) -> None:
    def close(until: Any) -> None:
        services.database.write(lambda c: c.execute(GATES.delete()))
        values = {"name": "create", "closed_until": until}
        services.database.write(lambda c: c.execute(GATES.insert().values(values)))

    close(clock.now() - SECONDS)
    assert "no stream can be connected until" not in words_of(app)
    close(until := clock.now() + MINUTES)
    assert f"no stream can be connected until {until:%Y-%m-%d %H:%M:%S} UTC" in words_of(app)


@pytest.mark.parametrize("zoom_is_ahead", [-75, -5 * 3600, 75])  # seconds
def test_the_time_to_connect_is_by_this_servers_clock(
    app: Flask, services: Services, zoom_is_ahead: int
) -> None:
    skewed = row(State.DONE, ago=HOURS)
    skewed["event_ts"] += zoom_is_ahead * 1000
    put(services, skewed, row(State.CONNECTED, ago=HOURS), row(State.DONE, ago=2 * DAYS))
    with services.database.read() as connection:
        seconds = snapshot.read(connection, now=clock.now()).connect_seconds
    assert sorted(seconds) == pytest.approx([1.5, 1.5], abs=0.01)
    assert "1 to 2 s 2" in words_of(app)


def test_what_zoom_says_is_text_and_keeps_to_its_place(
    app: Flask, services: Services, zoom: Zoom
) -> None:
    evil = '<img src=x onerror="alert(1)">\u202egnp.exe'
    put(
        services,
        row(State.FAILED, ago=MINUTES, meeting_id=None, meeting_uuid=evil, last_error=evil),
        row(State.CONNECTED, ago=MINUTES, meeting_id=evil, product="webinar"),
    )
    page = log_in(app).get("/").text
    assert "<img" not in page
    assert page.count("\u202e") == page.count("<bdi>&lt;img src=x") == 3


def test_a_meeting_of_zooms_shows(app: Flask, zoom: Zoom) -> None:
    zoom.deliver(events.started(Stream(meeting_id="81234567890")))
    assert "All is well: 0 meetings live, 1 meeting being connected." in words_of(app)


def test_streams_that_zoom_ends_for_wrong_credentials_are_no_success(
    app: Flask, zoom: Zoom, services: Services
) -> None:
    put(services, row(State.ENDED, ago=timedelta(minutes=70), stop_reason=18))
    browser = log_in(app)
    assert "All is well" in browser.get("/").text
    put(services, row(State.ENDED, ago=timedelta(minutes=5), stop_reason=18))
    assert "Zoom refuses the join signature (stop reason 18)" in browser.get("/").text


# ---- What failed in the last hour


def test_a_long_meeting_whose_recording_has_just_failed_is_told(
    app: Flask, services: Services
) -> None:
    failed = {"reason": Reason.RECALL_FAILED, "recall_id": "recall-x"}
    long_ago = row(State.FAILED, ago=5 * HOURS, **failed, meeting_id="111")
    long_ago["stopped_at"] = clock.now() - 2 * HOURS
    put(services, long_ago)
    assert "All is well" in words_of(app)
    just_now = row(State.FAILED, ago=4 * HOURS, **failed, meeting_id="222")
    put(services, just_now | {"stopped_at": clock.now() - 5 * MINUTES})
    newer = [row(State.FAILED, ago=2 * HOURS, meeting_id=f"333{n}") for n in range(10)]
    put(services, *(each | {"stopped_at": None} for each in newer))
    words = words_of(app)
    assert "1 meeting failed in the last hour: no recording at Recall." in words
    assert "Failed in the last hour 1 0 began" in words
    assert "the last hour 0 0 0" in words  # of those that began in it
    failures = words.partition("Recent failures")[2]
    assert failures.index("222") < failures.index("3339")
    assert "111" not in failures  # the ten newest, and what has just failed


def test_an_old_meeting_that_was_retried_in_vain_is_told(app: Flask, services: Services) -> None:
    put(services, row(State.FAILED, ago=3 * HOURS, reason=Reason.REFUSED))
    attempt = {"meeting_direct_connect_id": 1, "outcome": "refused", "at": clock.now() - 2 * HOURS}
    services.database.write(lambda c: c.execute(ATTEMPTS.insert().values(attempt)))
    assert "All is well" in words_of(app)
    attempt["at"] = clock.now() - 5 * MINUTES
    services.database.write(lambda c: c.execute(ATTEMPTS.insert().values(attempt)))
    assert "1 meeting failed in the last hour: refused by Recall." in words_of(app)


@pytest.mark.parametrize("off", [-2 * HOURS, 2 * HOURS, -10 * DAYS], ids=str)
def test_a_row_of_a_clock_that_was_wrong_hides_nothing(
    app: Flask, services: Services, off: timedelta
) -> None:
    put(services, *[row(State.FAILED, ago=20 * MINUTES) for _ in range(5)])
    put(services, row(State.DONE, ago=-off))
    put(services, row(State.FAILED, ago=2 * MINUTES))
    found = words_of(app)
    assert "6 meetings failed in the last hour: not connected in time." in found
    with services.database.read() as connection:
        history = totals.read(connection, now=clock.now())
    assert history.last_hour.failed == history.last_day.failed == history.last_week.failed == 6
    assert sum(each.failed for _, each in history.hours) == 6


def test_a_failover_before_the_connect_is_not_a_capture(
    app: Flask, services: Services, zoom: Zoom
) -> None:
    zoom.deliver(events.started(stream := Stream()))
    moved = events.started(stream)
    moved["event_ts"] += 2000
    moved["payload"]["server_urls"] = "wss://another.zoom.example:443"
    zoom.deliver(moved)
    with services.database.read() as connection:
        replaced = connection.execute(CONNECTS.select().where(CONNECTS.c.id == 1)).one()
    assert (replaced.state, replaced.recall_id, replaced.superseded_by) == ("ended", None, 2)
    gone = {"state": "failed", "reason": "refused", "due_at": None}
    services.database.write(
        lambda c: c.execute(CONNECTS.update().values(gone).where(CONNECTS.c.id > 1))
    )
    found = words_of(app)
    assert "the last hour 0 1 0 the last day 0 1 0 the last week 0 1 0" in found
    assert "Failed in the last hour 1 1 began" in found


def test_a_process_from_the_future_is_not_believed(app: Flask, services: Services) -> None:
    put_process(services, "future", dispatches=True, ago=-5 * HOURS)
    put(services, row(State.PENDING, ago=40 * SECONDS))
    assert "No process connects streams: 1 meeting is waiting" in words_of(app)


# ---- Many who look at once


def test_those_who_look_at_once_share_what_one_has_read(
    app: Flask, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SECONDS", 60.0)
    read, reads, may_go_on = snapshot.read, list[int](), threading.Event()

    def read_slowly(*args: Any, **named: Any) -> snapshot.OverviewSnapshot:
        reads.append(1)
        assert may_go_on.wait(20)
        return read(*args, **named)

    monkeypatch.setattr(snapshot, "read", read_slowly)
    browsers, answers = [log_in(app) for _ in range(8)], list[int]()
    asking = [
        threading.Thread(target=lambda each=each: answers.append(each.get("/").status_code))
        for each in browsers
    ]
    for thread in asking:
        thread.start()
    may_go_on.set()
    for thread in asking:
        thread.join(20)
    assert answers == [200] * 8
    assert len(reads) == 1
    put(services, row(State.FAILED, ago=MINUTES))
    assert "No meetings yet" in browsers[0].get("/").text
    assert app.test_client().get("/").status_code == 303  # who has not logged in sees nothing
    monkeypatch.setattr(cache, "SECONDS", 0.0)
    assert "1 meeting failed" in browsers[0].get("/").text


def test_what_could_not_be_read_is_not_remembered() -> None:
    remembered = cache.Latest[int]()

    def fail() -> int:
        raise OSError("away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            remembered.get(fail)
    assert remembered.get(lambda: 1) == 1
