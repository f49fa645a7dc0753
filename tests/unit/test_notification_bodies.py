"""What NOTIFY_URL gets: the fields that docs/NOTIFICATIONS.md has, under an id of its own."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config import ROOT
from models import CONNECTS, RECORDINGS, Happening
from rtms.jobs.notify import message
from rtms.rows import as_json

NOW = datetime(2026, 11, 22, 10, 31, 7, 120000, tzinfo=UTC)
MEETING: dict[str, Any] = {column.name: f"a {column.name}" for column in CONNECTS.columns} | {
    "restart_of": 11,
    "gap_seconds": 14.2,
}
RECORDING = {column.name: f"a {column.name}" for column in RECORDINGS.columns}


def test_the_shape_is_exactly_this() -> None:
    body = message.body(Happening.RECORDING_DONE, NOW, MEETING, RECORDING)
    assert json.loads(json.dumps(body, default=as_json)) == {
        "type": "recording_done",
        "version": 1,
        "timestamp": "2026-11-22T10:31:07.120000Z",
        "data": {
            "meeting": {
                "id": "a id",
                "rtms_stream_id": "a rtms_stream_id",
                "meeting_uuid": "a meeting_uuid",
                "meeting_id": "a meeting_id",
                "product": "a product",
                "account_id": "a account_id",
                "operator_id": "a operator_id",
                "host_id": "a host_id",
                "topic": "a topic",
                "state": "a state",
                "reason": "a reason",
                "recall_id": "a recall_id",
                "status": "a status",
                "sub_code": "a sub_code",
                "last_error": "a last_error",
                "received_at": "a received_at",
                "connected_at": "a connected_at",
                "stopped_at": "a stopped_at",
                "stop_reason": "a stop_reason",
                "restarted_as": "a restarted_as",
                "restart_of": 11,
                "gap_seconds": 14.2,
            },
            "recording": {
                "id": "a id",
                "recall_recording_id": "a recall_recording_id",
                "status": "a status",
                "sub_code": "a sub_code",
                "started_at": "a started_at",
                "completed_at": "a completed_at",
                "expires_at": "a expires_at",
                "media": "a media",
            },
        },
    }


def test_a_new_column_is_not_told_by_itself() -> None:
    more = {"a_column_of_next_year": "not to be told"}
    body = message.body(Happening.RECORDING_DONE, NOW, MEETING | more, RECORDING | more)
    assert body == message.body(Happening.RECORDING_DONE, NOW, MEETING, RECORDING)
    assert "not to be told" not in str(body)


def test_what_is_about_no_recording_says_so() -> None:
    body = message.body(Happening.STREAM_CONNECTED, NOW, MEETING, None)
    assert body["data"]["recording"] is None


def test_the_page_has_exactly_these_fields_and_events_in_its_tables() -> None:
    page = (ROOT / "docs" / "NOTIFICATIONS.md").read_text()
    fields = re.findall(r"`((?:meeting|recording)\.\w+)`(?=.* \|)", page)
    assert sorted(fields) == sorted(
        [
            *(f"meeting.{field}" for field in message.MEETING_FIELDS),
            *(f"recording.{field}" for field in message.RECORDING_FIELDS),
        ]
    )
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Happening)


NOTIFICATION: dict[str, Any] = {
    "notification_id": 1,
    "event": "recording_done",
    "created_at": NOW,
    "rtms_stream_id": "stream-1",
    "received_at": NOW - timedelta(hours=1),
    "recall_recording_id": "recording-1",
}


def test_a_repetition_has_the_same_id() -> None:
    first = message.message_id(**NOTIFICATION)
    assert first == message.message_id(**NOTIFICATION)
    assert re.fullmatch(r"msg_[0-9a-f]{32}", first)


@pytest.mark.parametrize(
    "other",
    [
        {"notification_id": 2},
        {"event": "recording_failed"},
        {"created_at": NOW + timedelta(microseconds=1)},
        {"received_at": NOW - timedelta(hours=1, microseconds=1)},
        {"rtms_stream_id": "stream-2"},
        {"recall_recording_id": "recording-2"},
        {"recall_recording_id": None},
        # The parts must not run into each other.
        {"rtms_stream_id": "stream-1', 'recording_done", "event": ""},
    ],
    ids=str,
)
def test_another_notification_has_another_id(other: dict[str, Any]) -> None:
    assert message.message_id(**NOTIFICATION | other) != message.message_id(**NOTIFICATION)
