"""After an outage of this server, streams that were lost meanwhile are asked for again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from models import EVENTS, PROCESSES
from rtms import clock
from rtms.jobs.connect.job import ConnectJob
from rtms.jobs.follow.job import FollowJob
from rtms.jobs.restart.job import RestartJob
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.integration.conftest import Rows
from tests.integration.test_intake import take
from tests.integration.test_stream_requests import S2S, ScriptedZoom, requests_of, send_due

pytestmark = pytest.mark.environ(**S2S)
LONG_AGO = timedelta(minutes=10)


def write(services: Services, statement: sa.Executable) -> None:
    services.database.write(lambda connection: connection.execute(statement))


@pytest.fixture
def stream(services: Services, recall: RecallSandbox, rows: Rows) -> Stream:
    """A stream that was connected before the outage; its meeting goes on."""
    stream = Stream()
    take(services, events.started(stream))
    connecting = ConnectJob(services.database, services.recall, services.config)
    (leased,) = connecting.lease(1)
    connecting.work(leased)
    write(services, EVENTS.update().values(received_at=clock.now() - LONG_AGO))
    assert rows.meeting().state == "connected"
    return stream


@pytest.fixture
def api() -> ScriptedZoom:
    return ScriptedZoom()


@pytest.fixture
def job(stream: Stream, services: Services, api: Any) -> RestartJob:
    """The job of a process that starts after the outage."""
    return RestartJob(services.database, services.recall, api, services.config)


def follow(services: Services) -> None:
    """Ask Recall about the rows that are due."""
    following = FollowJob(services.database, services.recall, services.config)
    for row in following.lease(10):
        following.work(row)


def test_a_stream_that_is_gone_is_asked_for(
    services: Services,
    recall: RecallSandbox,
    rows: Rows,
    stream: Stream,
    job: RestartJob,
    api: ScriptedZoom,
) -> None:
    recall.end_stream(stream.rtms_stream_id)
    job.next_due()
    (request,) = requests_of(services)
    assert (request.cause, request.replaces) == ("outage", rows.meeting().id)
    send_due(services, job, in_seconds=5)
    assert requests_of(services)[0].state == "waiting"  # Recall has not been asked yet
    assert api.asked == []
    follow(services)
    assert rows.meeting().state != "connected"
    send_due(services, job, in_seconds=5)
    assert api.asked == [("start", str(stream.meeting_id), stream.operator_id)]
    take(services, events.started(stream.beside(operator_id=stream.operator_id)))
    lost, newer = rows.meetings()
    assert lost.restarted_as == newer.id


def test_a_stream_that_is_still_live_is_left_alone(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    job.next_due()
    follow(services)
    assert rows.meeting().status == "recording"
    send_due(services, job, in_seconds=5)
    (request,) = requests_of(services)
    assert request.state == "withdrawn"
    assert "is live" in request.last_error
    assert (api.asked, rows.meeting().restarted_as) == ([], None)


def test_a_recall_that_does_not_answer_leaves_it_open(
    services: Services, recall: RecallSandbox, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    job.next_due()
    with recall.down():
        follow(services)
    send_due(services, job, in_seconds=5)
    assert requests_of(services)[0].state == "waiting"
    assert api.asked == []


def a_process(started_ago: timedelta, seen_ago: timedelta) -> sa.Executable:
    now = clock.now()
    return PROCESSES.insert().values(
        name="other",
        kind="web",
        host="other",
        pid=1,
        dispatches=True,
        started_at=now - started_ago,
        seen_at=now - seen_ago,
        counts=[],
    )


@pytest.mark.parametrize("sign", ["a process", "a delivery"])
def test_no_outage_where_there_was_a_sign_of_life(
    services: Services, job: RestartJob, sign: str
) -> None:
    recently = clock.now() - timedelta(seconds=30)
    if sign == "a process":
        write(services, a_process(LONG_AGO, timedelta(seconds=30)))
    else:
        write(services, EVENTS.update().values(received_at=recently))
    job.next_due()
    assert requests_of(services) == []


def test_a_process_that_was_killed_or_that_just_started_is_no_sign_of_life(
    services: Services, job: RestartJob
) -> None:
    write(services, a_process(2 * LONG_AGO, LONG_AGO))
    write(services, PROCESSES.update().values(name="killed"))
    write(services, a_process(timedelta(seconds=1), timedelta(0)))
    job.next_due()
    assert len(requests_of(services)) == 1


def test_two_processes_that_look_back_make_one_request(
    services: Services, stream: Stream, job: RestartJob, api: Any
) -> None:
    other = RestartJob(services.database, services.recall, api, services.config)
    job.next_due()
    other.next_due()
    assert len(requests_of(services)) == 1
