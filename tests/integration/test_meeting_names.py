"""Whose meeting it is and what it is called; how a host answered a request for a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskCliRunner

from rtms.services import Services
from sandbox import Stream, events
from tests.integration.conftest import Rows
from tests.integration.test_intake import connect, take

TOPIC = "週次定例\u3000営業部"


def meeting_started(stream: Stream, topic: str = TOPIC) -> dict[str, Any]:
    return {
        "event": "meeting.started",
        "event_ts": events.now_ms(),
        "payload": {
            "account_id": "account",
            "object": {
                "uuid": stream.meeting_uuid,
                "id": str(stream.meeting_id),
                "host_id": "host",
                "topic": topic,
            },
        },
    }


def request_status(**fields: Any) -> dict[str, Any]:
    payload = {"account_id": "account", "object": {"status": "denied", **fields}}
    return {"event": "rtms.request_status", "event_ts": events.now_ms(), "payload": payload}


def test_a_starts_account_is_kept(services: Services, rows: Rows) -> None:
    take(services, events.started(Stream(account_id="whose"), nested=True))
    assert rows.meeting().account_id == "whose"


@pytest.mark.parametrize("first", ["meeting.started", "rtms_started"])
def test_a_meeting_has_its_topic_and_host_whichever_event_comes_first(
    services: Services, rows: Rows, first: str
) -> None:
    stream = Stream()
    told = [meeting_started(stream), events.started(stream)]
    take(services, *(told if first == "meeting.started" else reversed(told)))
    row = rows.meeting()
    assert (row.topic, row.host_id) == ("週次定例 営業部", "host")
    assert row.topic_search == "週次定例 営業部"


def test_a_failover_keeps_the_name(services: Services, rows: Rows) -> None:
    stream = Stream()
    take(services, meeting_started(stream), events.started(stream), events.failover(stream))
    assert [row.topic for row in rows.meetings()] == ["週次定例 営業部"] * 2


def test_many_starts_at_once_are_named(services: Services, rows: Rows) -> None:
    named, nameless = Stream(), Stream()
    take(services, meeting_started(named))
    tickets = [services.intake.begin(events.started(stream)) for stream in (named, nameless)]
    assert [ticket.result().outcome for ticket in tickets] == ["accepted", "accepted"]
    topics = {row.meeting_uuid: row.topic for row in rows.meetings()}
    assert topics == {named.meeting_uuid: "週次定例 営業部", nameless.meeting_uuid: None}


def test_a_meeting_without_a_topic_or_uuid_is_accepted(services: Services, rows: Rows) -> None:
    stream = Stream()
    bare = meeting_started(stream, topic="\u202e\u200b")
    lacking = {**bare, "payload": {"object": {}}, "event_ts": events.now_ms()}
    assert take(services, bare, lacking, events.started(stream)) == [
        "accepted",
        "unknown",
        "accepted",
    ]
    assert (rows.meeting().topic, rows.meeting().host_id) == (None, "host")


@pytest.mark.parametrize("name", ["rtms_stream_id", "meeting_uuid", "meeting_id"])
def test_how_a_host_answered_is_recorded_with_the_stream_it_names(
    services: Services, rows: Rows, name: str
) -> None:
    stream = Stream()
    take(services, events.started(stream))
    connect(services, rows.meeting().id)
    body = request_status(**{name: getattr(stream, name)})
    assert take(services, body, body) == ["accepted", "duplicate"]
    event = rows.events()[-1]
    assert event.rtms_stream_id == stream.rtms_stream_id
    assert event.payload == body  # word for word


def test_an_answer_about_a_meeting_that_has_no_stream_yet_keeps_its_names(
    services: Services, rows: Rows
) -> None:
    stream = Stream()
    take(services, request_status(meeting_uuid=stream.meeting_uuid, meeting_id=stream.meeting_id))
    take(services, request_status())
    named, nameless = rows.events()
    assert (named.meeting_uuid, named.meeting_id) == (stream.meeting_uuid, str(stream.meeting_id))
    assert (named.rtms_stream_id, nameless.meeting_uuid, nameless.meeting_id) == (None, None, None)
    assert take(services, events.started(stream)) == ["accepted"]


@pytest.mark.parametrize("name", ["meeting_uuid", "meeting_id"])
def test_a_meeting_is_shown_with_what_zoom_said_before_its_stream_began(
    services: Services, rows: Rows, runner: FlaskCliRunner, name: str
) -> None:
    stream = Stream()
    answered = request_status(**{name: getattr(stream, name)})
    take(services, answered, request_status(), events.started(stream))
    told = runner.invoke(args=["meetings", "show", "1", "--json"])
    shown = [each["payload"] for each in json.loads(told.stdout)["events"]]
    assert [each["event"] for each in shown] == ["rtms.request_status", "meeting.rtms_started"]
    assert shown[0] == answered
    assert "rtms.request_status" in runner.invoke(args=["meetings", "show", "1"]).stdout


def test_a_word_without_a_topic_takes_no_name_away(services: Services, rows: Rows) -> None:
    stream = Stream()
    nameless = meeting_started(stream)
    nameless["payload"]["object"] |= {"topic": "", "host_id": None}
    take(services, events.started(stream), meeting_started(stream), nameless)
    take(services, events.started(stream.beside()))
    assert [(row.topic, row.host_id) for row in rows.meetings()] == [
        ("週次定例 営業部", "host"),
        ("週次定例 営業部", "host"),
    ]
    assert {row.topic_search for row in rows.meetings()} == {"週次定例 営業部"}
