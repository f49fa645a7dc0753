"""Lost streams: which are asked for again, and what comes of it in the tables."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from models import CONNECTS, STREAM_REQUESTS, RequestAction, RequestCause
from rtms import clock
from rtms.jobs.connect.job import ConnectJob
from rtms.jobs.restart import by_hand
from rtms.jobs.restart.job import RestartJob
from rtms.services import Services
from rtms.stream_requests import requests
from rtms.zoom.stream_outcomes import (
    Accepted,
    NotAllowed,
    NotLive,
    OutcomeUnknown,
    StreamOutcome,
    TryLater,
)
from sandbox import Stream, events
from tests.integration.conftest import Rows
from tests.integration.test_intake import connect, take

S2S = {f"ZOOM_S2S_{name}": "x" for name in ("ACCOUNT_ID", "CLIENT_ID", "CLIENT_SECRET")}
pytestmark = pytest.mark.environ(**S2S)


class ScriptedZoom:
    """Answers requests for streams as it is told."""

    def __init__(self) -> None:
        self.answers: list[StreamOutcome] = []
        self.asked: list[tuple[str, str, str | None]] = []

    def change_stream(
        self, action: str, *, meeting_id: str, participant_user_id: str | None, tokens: None
    ) -> StreamOutcome:
        self.asked.append((str(action), meeting_id, participant_user_id))
        return self.answers.pop(0) if self.answers else Accepted()


@pytest.fixture
def api() -> ScriptedZoom:
    return ScriptedZoom()


@pytest.fixture
def job(services: Services, api: Any) -> RestartJob:
    return RestartJob(services.database, services.recall, api, services.config)


def requests_of(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(STREAM_REQUESTS).order_by(STREAM_REQUESTS.c.id)))


def send_due(services: Services, job: RestartJob, *, in_seconds: float = 0) -> int:
    """Send what is due now, or would be due later; returns how many requests were looked at."""
    earlier = timedelta(seconds=in_seconds)
    c = STREAM_REQUESTS.c

    def hurry(connection: sa.Connection) -> None:
        for request in connection.execute(sa.select(c.id, c.due_at).where(c.due_at.is_not(None))):
            change = STREAM_REQUESTS.update().where(c.id == request.id)
            connection.execute(change.values(due_at=request.due_at - earlier))

    services.database.write(hurry)
    services.database.write(lambda connection: connection.execute(sa.text("DELETE FROM gates")))
    leased = job.lease(100)
    for row in leased:
        job.work(row)
    return len(leased)


def lose(services: Services, rows: Rows, stop_reason: int = 13, **fields: Any) -> Stream:
    """Take a stream in, and lose it; returns it."""
    stream = Stream(**fields)
    take(services, events.started(stream))
    connect(services, rows.meetings()[-1].id)
    take(services, events.stopped(stream, stop_reason))
    return stream


def restarted(stream: Stream) -> Stream:
    return stream.beside(operator_id=stream.operator_id)


def test_a_stream_that_broke_is_asked_for_and_continued(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    (request,) = requests_of(services)
    assert (request.state, request.cause) == ("waiting", "stream_fault")
    assert "Zoom is asked for it again" in rows.events()[-1].outcome
    assert send_due(services, job) == 1
    assert api.asked == [("start", str(stream.meeting_id), stream.operator_id)]
    assert requests_of(services)[0].state == "accepted"
    take(services, events.started(restarted(stream)))
    lost, newer = rows.meetings()
    assert lost.restarted_as == newer.id
    assert (newer.state, newer.superseded_by) == ("pending", None)
    (request,) = requests_of(services)
    assert (request.state, request.replaces, request.led_to) == ("fulfilled", lost.id, newer.id)
    assert (request.due_at, request.lease_owner) == (None, None)
    assert f"it continues meeting {lost.id}" in rows.events()[-1].outcome
    assert send_due(services, job, in_seconds=10_000) == 0


@pytest.mark.parametrize("stop_reason", [1, 2, 6, 9, 17, 18, 20, 23, 25, 26, 99])
def test_a_stream_that_was_stopped_is_not_asked_for(
    services: Services, rows: Rows, stop_reason: int
) -> None:
    lose(services, rows, stop_reason)
    assert requests_of(services) == []


@pytest.mark.environ(
    **S2S,
    RESTART_STREAMS="off",
)
def test_nothing_is_asked_for_where_it_is_switched_off(services: Services, rows: Rows) -> None:
    lose(services, rows)
    assert requests_of(services) == []


def test_a_meeting_without_a_number_says_so_in_its_row(services: Services, rows: Rows) -> None:
    lose(services, rows, meeting_id=None)
    assert requests_of(services) == []
    assert "did not say the meeting's number" in rows.meeting().last_error


def test_a_stop_that_overtakes_its_start_asks_too(services: Services, rows: Rows) -> None:
    stream = Stream()
    start = events.started(stream)
    take(services, events.stopped(stream, 12), start)
    assert rows.meeting().state == "skipped"
    (request,) = requests_of(services)
    assert request.replaces == rows.meeting().id


def test_a_start_before_the_request_was_sent_withdraws_it_and_continues_the_meeting(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    take(services, events.started(restarted(stream)))
    lost, newer = rows.meetings()
    (request,) = requests_of(services)
    assert (request.state, request.led_to) == ("withdrawn", newer.id)
    assert lost.restarted_as == newer.id
    assert send_due(services, job) == 0
    assert api.asked == []


def test_another_users_stream_does_not_end_the_request(services: Services, rows: Rows) -> None:
    stream = lose(services, rows)
    take(services, events.started(stream.beside()))
    (request,) = requests_of(services)
    assert request.state == "waiting"
    assert rows.meetings()[0].restarted_as is None


def test_a_meeting_that_ended_is_not_asked_for(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    take(services, events.meeting_ended(stream))
    (request,) = requests_of(services)
    assert (request.state, request.last_error) == ("withdrawn", "The meeting has ended.")
    assert send_due(services, job) == 0
    # Its end arrived before its stop.
    other = Stream()
    take(services, events.started(other), events.meeting_ended(other), events.stopped(other, 13))
    assert send_due(services, job) == 1
    assert requests_of(services)[-1].state == "withdrawn"
    assert api.asked == []


def test_an_end_while_the_request_is_being_sent_counts(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    (leased,) = job.lease(1)
    take(services, events.meeting_ended(stream))
    job.work(leased)
    (request,) = requests_of(services)
    assert (request.state, request.due_at) == ("withdrawn", None)


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        ([NotLive(error="3000")] * 2, "accepted", None),
        ([NotLive(error="over: 3000")] * 4, "withdrawn", "over: 3000"),
        ([NotAllowed(error="2310: no pack")], "refused", "2310: no pack"),
        ([TryLater(error="500")] * 6, "accepted", None),
        ([OutcomeUnknown(error="hung")], "accepted", None),
        ([TryLater(error="429", retry_after=3.0, is_rate_limit=True)] * 9, "accepted", None),
    ],
)
def test_what_zoom_answers_decides(
    services: Services,
    rows: Rows,
    job: RestartJob,
    api: ScriptedZoom,
    answers: list[StreamOutcome],
    state: str,
    words: str | None,
) -> None:
    lose(services, rows)
    api.answers = list(answers)
    for _ in range(len(answers) + 1):
        send_due(services, job, in_seconds=120)
        if requests_of(services)[0].state not in ("waiting",):
            break
    (request,) = requests_of(services)
    assert (request.state, request.last_error) == (state, words)
    limited = sum(isinstance(each, TryLater) and each.is_rate_limit for each in answers)
    assert request.attempts == len(api.asked) - limited


def test_a_429_closes_the_gate_for_all_processes(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    lose(services, rows)
    lose(services, rows)
    api.answers = [TryLater(error="429", retry_after=60.0, is_rate_limit=True)]
    (first,) = job.lease(1)
    job.work(first)
    other = RestartJob(services.database, services.recall, job._zoom_api, services.config)
    assert list(other.lease(10)) == []
    due = other.next_due()
    assert due and due > clock.now() + timedelta(seconds=50)


def test_500_meetings_that_break_at_once_are_asked_for_at_an_even_pace(
    services: Services, rows: Rows, job: RestartJob
) -> None:
    for _ in range(12):
        lose(services, rows)
    assert len(job.lease(8)) == 8
    assert list(job.lease(8)) == []
    due = job.next_due()
    assert due and due > clock.now() + timedelta(seconds=0.5)


@pytest.mark.environ(
    **S2S,
    RESTARTS_PER_MEETING="2",
)
def test_a_meeting_is_restarted_only_so_often(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    for _ in range(3):
        send_due(services, job)
        if requests_of(services)[-1].state == "given_up":
            break
        stream = restarted(stream)
        take(services, events.started(stream))
        connect(services, rows.meetings()[-1].id)
        take(services, events.stopped(stream, 13))
    assert len(api.asked) == 2
    assert "restarted 2 times" in requests_of(services)[-1].last_error
    first, second, third = rows.meetings()
    assert (first.restarted_as, second.restarted_as) == (second.id, third.id)


def test_processes_that_see_one_cause_make_one_request(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    stops = [events.stopped(stream, 13) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(services.intake.take, stops))
    assert len(requests_of(services)) == 1


def test_a_window_that_closed_waits_until_recall_takes_streams(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    """Nobody answers at Recall's address here."""
    take(services, events.started(Stream()))
    past = clock.now() - timedelta(seconds=1)
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update().values(connect_by=past, attempts=3, key_used_at=past)
        )
    )
    ConnectJob(services.database, services.recall, services.config).lease(1)
    assert (rows.meeting().state, rows.meeting().reason) == ("failed", "window_expired")
    send_due(services, job)
    (request,) = requests_of(services)
    assert (request.state, request.cause, request.attempts) == ("waiting", "window_expired", 0)
    assert "Recall does not take streams" in request.last_error
    assert api.asked == []


def test_a_stop_because_the_meeting_ended_withdraws_the_request_for_another_user(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    other = stream.beside()
    take(services, events.started(stream), events.started(other), events.stopped(stream, 13))
    assert requests_of(services)[0].state == "waiting"
    take(services, events.stopped(other, 6))
    assert requests_of(services)[0].state == "withdrawn"


@pytest.mark.parametrize("name", ["meeting_uuid", "meeting_id"])
def test_the_hosts_answer_is_shown_with_the_stream_that_was_lost(
    services: Services, rows: Rows, name: str
) -> None:
    stream = lose(services, rows)
    body = {"event": "rtms.request_status", "event_ts": events.now_ms()}
    payload = {"status": "denied", name: str(getattr(stream, name))}
    take(services, {**body, "payload": payload})
    assert rows.events()[-1].rtms_stream_id == stream.rtms_stream_id


@pytest.mark.environ(**S2S, START_STREAMS="missing", START_AFTER_SECONDS="20")
def test_a_stream_that_never_came_is_asked_for(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = Stream()
    take(services, events.meeting_started(stream))
    (request,) = requests_of(services)
    assert (request.cause, request.operator_id) == ("never_came", "")
    assert (request.due_at - request.created_at) == timedelta(seconds=20)
    assert send_due(services, job) == 0
    assert send_due(services, job, in_seconds=21) == 1
    assert api.asked == [("start", str(stream.meeting_id), None)]
    take(services, events.started(stream))
    (request,) = requests_of(services)
    assert (request.state, request.led_to) == ("fulfilled", rows.meeting().id)
    assert rows.meeting().topic == stream.topic


@pytest.mark.environ(**S2S, START_STREAMS="missing")
def test_a_stream_that_comes_by_itself_is_not_asked_for(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    for stream in (Stream(), Stream()):
        take(services, events.meeting_started(stream), events.started(stream))
    early = Stream()
    take(services, events.started(early), events.stopped(early, 1), events.meeting_started(early))
    assert [each.state for each in requests_of(services)] == ["withdrawn"] * 2
    assert send_due(services, job, in_seconds=1000) == 0


@pytest.mark.environ(**S2S, START_STREAMS="always", START_FOR="host-1,account-1")
def test_streams_are_started_at_once_for_whom_it_is_wanted(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    wanted = [Stream(host_id="host-1"), Stream(account_id="account-1")]
    for stream in (*wanted, Stream(host_id="host-2"), Stream()):
        take(services, events.meeting_started(stream))
    assert send_due(services, job) == 2
    assert [asked[1] for asked in api.asked] == [str(stream.meeting_id) for stream in wanted]


def test_no_stream_is_started_by_default(services: Services, rows: Rows) -> None:
    take(services, events.meeting_started(Stream()))
    assert requests_of(services) == []


def test_a_later_occurrence_of_a_meeting_is_another_meeting(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    """They have the same number, and the end of the first was never delivered."""
    first = lose(services, rows)
    send_due(services, job)
    second = Stream(meeting_id=first.meeting_id, operator_id=first.operator_id)
    take(services, events.started(second))
    api.asked.clear()
    send_due(services, job, in_seconds=120)
    assert api.asked == []
    assert requests_of(services)[0].state == "withdrawn"
    assert rows.meetings()[0].restarted_as is None
    connect(services, rows.meetings()[-1].id)
    take(services, events.stopped(second, 13))
    assert requests_of(services)[-1].meeting_uuid == second.meeting_uuid
    assert send_due(services, job) == 1
    assert len(api.asked) == 1


def test_a_new_request_replaces_that_of_an_earlier_occurrence(
    services: Services, rows: Rows
) -> None:
    first = lose(services, rows)
    lose(services, rows, meeting_id=first.meeting_id, operator_id=first.operator_id)
    assert [request.state for request in requests_of(services)] == ["withdrawn", "waiting"]


@pytest.mark.parametrize("stop_reason", [1, 5, 18])
def test_a_decision_about_a_stream_that_was_late_withdraws_its_request(
    services: Services, rows: Rows, stop_reason: int
) -> None:
    stream = Stream()
    take(services, events.started(stream))
    past = clock.now() - timedelta(seconds=1)
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update().values(connect_by=past, attempts=3, key_used_at=past)
        )
    )
    ConnectJob(services.database, services.recall, services.config).lease(1)
    assert requests_of(services)[0].state == "waiting"
    take(services, events.stopped(stream, stop_reason))
    assert requests_of(services)[0].state == "withdrawn"


def test_a_new_stream_that_somebody_stopped_at_once_is_not_asked_for_again(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    send_due(services, job)
    newer = restarted(stream)
    start = events.started(newer)
    take(services, events.stopped(newer, 1), start)
    assert rows.meetings()[-1].state == "skipped"
    assert [request.state for request in requests_of(services)] == ["fulfilled"]
    assert send_due(services, job, in_seconds=1000) == 0


def test_a_start_that_arrives_while_zoom_is_being_asked_counts_as_a_restart(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)

    def answer(action: str, **_: Any) -> StreamOutcome:
        take(services, events.started(restarted(stream)))
        return OutcomeUnknown(error="hung")

    api.change_stream = answer  # type: ignore[method-assign]
    send_due(services, job)
    assert [request.state for request in requests_of(services)] == ["fulfilled"]


def test_a_request_that_is_withdrawn_while_recall_is_asked_is_not_sent(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows, 11)
    (leased,) = job.lease(1)

    def ask_recall() -> bool:
        take(services, events.meeting_ended(stream))
        return True

    job._recall_health.takes_streams = ask_recall  # type: ignore[method-assign]
    job.work(leased)
    assert api.asked == []
    assert requests_of(services)[0].state == "withdrawn"


def test_a_rate_limit_without_a_wait_causes_no_loop(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    lose(services, rows)
    api.answers = [TryLater(error="429", retry_after=0.0, is_rate_limit=True)]
    send_due(services, job)
    (request,) = requests_of(services)
    assert (request.attempts, request.state) == (0, "waiting")
    assert request.due_at > clock.now() + timedelta(seconds=4)
    due = job.next_due()
    assert due and due > clock.now() + timedelta(seconds=4)


def test_the_end_of_a_meeting_is_known_from_any_stop(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    # Its own stream stops a second time, because the meeting ended.
    stream = lose(services, rows)
    take(services, events.stopped(stream, 6))
    assert requests_of(services)[0].state == "withdrawn"
    # Another user's stream said so before this one's stop arrived.
    stream = Stream()
    other = stream.beside()
    take(services, events.started(stream), events.started(other), events.stopped(other, 6))
    take(services, events.stopped(stream, 13))
    send_due(services, job)
    assert requests_of(services)[-1].state == "withdrawn"
    assert api.asked == []


@pytest.mark.environ(**S2S, RESTART_STREAMS="off")
def test_open_requests_are_withdrawn_where_it_was_switched_off(
    services: Services, job: RestartJob, api: ScriptedZoom
) -> None:
    services.database.write(
        lambda connection: requests.open_request(
            connection, cause=RequestCause.STREAM_FAULT, meeting_id="1", now=clock.now()
        )
    )
    send_due(services, job)
    assert requests_of(services)[0].state == "withdrawn"
    assert api.asked == []


def test_a_person_stops_what_the_server_would_start(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    stream = lose(services, rows)
    wanted = by_hand.Wanted(action=RequestAction.STOP, meeting_id=str(stream.meeting_id))
    assert by_hand.send_now(services.database, job, wanted).done
    assert send_due(services, job, in_seconds=1000) == 0
    assert [asked[0] for asked in api.asked] == ["stop"]
    # A stop that Zoom does not carry out ends, and does not stop a later stream.
    api.answers = [TryLater(error="down")]
    assert not by_hand.send_now(services.database, job, wanted).done
    services.database.write(
        lambda connection: connection.execute(
            STREAM_REQUESTS.update().values(created_at=clock.now() - timedelta(minutes=6))
        )
    )
    send_due(services, job, in_seconds=1000)
    assert requests_of(services)[-1].state == "given_up"


def test_people_who_ask_at_the_same_moment(
    services: Services, rows: Rows, job: RestartJob, api: ScriptedZoom
) -> None:
    lose(services, rows)
    wanted = by_hand.wanted_restart(services.database, 1)
    assert isinstance(wanted, by_hand.Wanted)
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(by_hand.send_now, services.database, job, wanted) for _ in range(6)]
    assert all(answer.result().detail for answer in answers)


def test_an_old_meeting_is_not_restarted(services: Services, rows: Rows) -> None:
    lose(services, rows)
    services.database.write(
        lambda connection: connection.execute(
            CONNECTS.update().values(received_at=clock.now() - timedelta(days=7))
        )
    )
    refused = by_hand.wanted_restart(services.database, 1)
    assert isinstance(refused, by_hand.Requested)
    assert "is over" in refused.detail
