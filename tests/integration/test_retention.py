"""What is over and old is deleted, with all that belongs to it, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner

from models import ATTEMPTS, CONNECTS, EVENTS, NOTIFICATIONS, RECORDINGS, STREAM_REQUESTS
from rtms import clock
from rtms.jobs.retention import job as retention_job
from rtms.jobs.retention.deletion import Old
from rtms.services import Services
from sandbox import Stream, events
from tests.integration.conftest import Rows
from tests.integration.test_cli import run
from tests.servers import wait_for

AGE = timedelta(days=100)


def an_old_meeting(services: Services, **values: Any) -> int:
    """A meeting that is done, with a recording, a try and its delivery, all of them old."""
    taken = services.intake.take(events.started(stream := Stream()))
    at = clock.now() - AGE
    done = {"state": "done", "recall_id": "r", "due_at": None, "received_at": at}

    def write(connection: sa.Connection) -> None:
        connection.execute(
            CONNECTS.update().where(CONNECTS.c.id == taken.row_id).values(done | values)
        )
        connection.execute(
            EVENTS.update()
            .where(EVENTS.c.rtms_stream_id == stream.rtms_stream_id)
            .values(received_at=at)
        )
        connection.execute(
            ATTEMPTS.insert().values(
                meeting_direct_connect_id=taken.row_id, at=at, outcome="unknown"
            )
        )
        connection.execute(
            RECORDINGS.insert().values(
                meeting_direct_connect_id=taken.row_id,
                recall_recording_id=f"recording-{taken.row_id}",
                status="done",
                media={},
            )
        )

    services.database.write(write)
    assert taken.row_id is not None
    return taken.row_id


def change(services: Services, table: sa.Table, id: int, **values: Any) -> None:
    column = table.c.id if table is CONNECTS else table.c.meeting_direct_connect_id
    services.database.write(lambda c: c.execute(table.update().where(column == id).values(values)))


def count(services: Services, table: sa.Table) -> int:
    with services.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def ids(rows: Rows) -> list[int]:
    return [row.id for row in rows.meetings()]


def test_prune_says_what_goes_asks_and_takes_all_that_belongs_to_it(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    an_old_meeting(services)
    an_old_meeting(services, state="connected", due_at=clock.now())
    young = services.intake.take(events.started(Stream())).row_id
    asked = run(runner, "meetings", "prune", exit_code=1, input="n\n")
    assert "Delete 1 meeting older than 90 days" in asked
    assert "Kept, because still open: 1 meeting." in asked
    assert ids(rows) == [1, 2, young]
    told = json.loads(run(runner, "meetings", "prune", "--yes", "--json"))
    assert told == {"deleted": 1, "events": 1, "kept": 1, "error": None}
    assert ids(rows) == [2, young]
    assert [count(services, table) for table in (RECORDINGS, ATTEMPTS, EVENTS)] == [1, 1, 2]
    assert "0 meetings and 0 events deleted" in run(runner, "meetings", "prune", "--yes")


def test_prune_keeps_a_day_at_least(runner: FlaskCliRunner) -> None:
    assert (
        "--older-than must be at least 1d"
        in runner.invoke(args=["meetings", "prune", "--older-than", "23h", "--yes"]).output
    )


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (CONNECTS, {"state": "pending"}),
        (CONNECTS, {"state": "connected"}),
        (CONNECTS, {"state": "ended", "due_at": clock.now()}),
        (CONNECTS, {"lease_owner": "a", "leased_until": clock.now()}),
        (RECORDINGS, {"archive_due_at": clock.now()}),
    ],
    ids=["pending", "connected", "followed", "leased", "to-be-archived"],
)
def test_what_somebody_still_wants_something_of_stays(
    services: Services, rows: Rows, table: sa.Table, values: dict[str, Any]
) -> None:
    change(services, table, an_old_meeting(services), **values)
    assert retention_job.count_old(services.database, clock.now()) == Old(open=1)
    assert retention_job.prune_meetings(services.database, clock.now()) == Old()
    assert (ids(rows), count(services, EVENTS)) == ([1], 1)


def test_a_meeting_of_which_somebody_is_still_to_be_told_stays(
    services: Services, rows: Rows
) -> None:
    id, now = an_old_meeting(services), clock.now()
    services.database.write(
        lambda c: c.execute(
            NOTIFICATIONS.insert().values(
                event="recording_done",
                listener="signals",
                meeting_direct_connect_id=id,
                created_at=now,
                due_at=now,
            )
        )
    )
    assert retention_job.prune_meetings(services.database, now) == Old()
    change(services, NOTIFICATIONS, id, due_at=None)
    assert retention_job.prune_meetings(services.database, now).meetings == 1
    assert (ids(rows), count(services, NOTIFICATIONS)) == ([], 0)


@pytest.mark.environ(ARCHIVE_URL="file:///tmp/never-written")
def test_what_the_archive_has_not_taken_up_yet_stays(
    services: Services, runner: FlaskCliRunner, rows: Rows
) -> None:
    id = an_old_meeting(services)
    told = json.loads(run(runner, "meetings", "prune", "--yes", "--json"))
    assert told == {"deleted": 0, "events": 0, "kept": 1, "error": None}
    for values in (
        {"archived_at": clock.now()},
        {"archive_attempts": 1},  # it was given up
        {"expires_at": clock.now()},
        {"status": "failed"},
    ):
        stays = {"archived_at": None, "archive_attempts": 0, "expires_at": None, "status": "done"}
        change(services, RECORDINGS, id, **stays | values)
        old = retention_job.count_old(services.database, clock.now(), archives=True)
        assert (values, old.meetings) == (values, 1)
    assert retention_job.prune_meetings(services.database, clock.now(), archives=True).meetings == 1
    assert ids(rows) == []


def test_a_chain_of_failovers_goes_from_its_beginning(services: Services, rows: Rows) -> None:
    first, second, third = (an_old_meeting(services) for _ in range(3))
    change(services, CONNECTS, first, superseded_by=second, state="ended", due_at=clock.now())
    change(services, CONNECTS, second, superseded_by=third)
    # While the first is followed, what took its place stays: it refers to it.
    assert retention_job.prune_meetings(services.database, clock.now()).meetings == 0
    assert ids(rows) == [first, second, third]
    change(services, CONNECTS, first, due_at=None)
    assert retention_job.prune_meetings(services.database, clock.now()).meetings == 3
    assert ids(rows) == []


def test_the_events_of_a_stream_that_has_a_younger_run_stay(services: Services, rows: Rows) -> None:
    start = events.started(stream := Stream())
    old = services.intake.take(start).row_id
    services.intake.take(events.stopped(stream))
    again = services.intake.take(events.started(stream, event_ts=events.now_ms() + 1)).row_id
    assert old is not None
    change(services, CONNECTS, old, received_at=clock.now() - AGE, due_at=None)
    deleted = retention_job.prune_meetings(services.database, clock.now() - timedelta(days=1))
    assert (deleted, ids(rows)) == (Old(meetings=1), [again])


def test_what_was_said_of_a_stream_goes_with_its_last_row_however_late_it_came(
    services: Services, runner: FlaskCliRunner
) -> None:
    start = events.started(stream := Stream())
    old = services.intake.take(start).row_id
    services.intake.take(events.stopped(stream))
    assert old is not None
    change(services, CONNECTS, old, received_at=clock.now() - AGE)
    told = json.loads(run(runner, "meetings", "prune", "--yes", "--json"))
    assert told == {"deleted": 1, "events": 2, "kept": 0, "error": None}
    assert count(services, EVENTS) == 0


@pytest.mark.environ(RETENTION_DAYS="30")
def test_retention_days_deletes_by_itself_what_is_over(services: Services, rows: Rows) -> None:
    for _ in range(3):
        an_old_meeting(services)
    kept = an_old_meeting(services, state="connected", due_at=clock.now() + timedelta(hours=1))
    services.intake.take({"event": "app.unknown", "payload": {}})
    old: datetime = clock.now() - AGE
    services.database.write(
        lambda c: c.execute(
            EVENTS.update().where(EVENTS.c.event == "app.unknown").values(received_at=old)
        )
    )
    services.start_dispatcher()
    wait_for(lambda: ids(rows) == [kept], "the old meetings to be deleted")
    wait_for(
        lambda: count(services, EVENTS) == 1, "the old events to be deleted, but the open one's"
    )


def test_requests_to_zoom_go_with_time_and_a_restarted_meeting_from_its_beginning(
    services: Services, rows: Rows
) -> None:
    lost, newer = an_old_meeting(services), an_old_meeting(services)
    change(services, CONNECTS, lost, restarted_as=newer)
    change(services, CONNECTS, newer, state="connected")  # still open
    request = {
        "action": "start",
        "cause": "by_hand",
        "meeting_id": "1",
        "operator_id": "",
        "state": "fulfilled",
        "attempts": 1,
        "not_live": 0,
    }
    old, young = clock.now() - AGE, clock.now()

    def add(connection: sa.Connection) -> None:
        for values in (
            {"created_at": old, "replaces": lost, "led_to": newer},
            {"created_at": old},
            {"created_at": old, "state": "waiting", "due_at": young},
            {"created_at": young},
        ):
            connection.execute(STREAM_REQUESTS.insert().values(request | values))

    services.database.write(add)
    before = clock.now() - timedelta(days=90)
    deleted = retention_job.prune_meetings(services.database, before, archives=False)
    assert (deleted.meetings, ids(rows)) == (1, [newer])
    assert count(services, STREAM_REQUESTS) == 2
    change(services, CONNECTS, newer, state="done")
    retention_job.prune_meetings(services.database, before, archives=False)
    assert ids(rows) == []
