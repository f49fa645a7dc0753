"""What people see of the tables: whole identifiers at any width, names, and what is wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner
from rich.cells import cell_len

from models import CONNECTS, EVENTS
from rtms.services import Services
from rtms.text import search_text
from sandbox import Stream, events
from tests.integration.test_dashboard_meetings import DAY, put

WIDTHS = [None, "80", "120"]
RECALL_ID = "5f6a0b9e-7d52-4f0c-9e55-0b4a8ac2c111"
HOST = "Ab12cdEFSomeHostIdxxxx"
NOT_AUTHENTICATED = 18


def printed(runner: FlaskCliRunner, *args: str, width: str | None) -> str:
    """What a command prints on a screen that is so wide, or into a pipe."""
    result = runner.invoke(args=args, env={"COLUMNS": width})
    assert result.exit_code == 0, result.output
    if width:
        assert all(cell_len(line) <= int(width) for line in result.stdout.splitlines())
    return result.stdout


def change(services: Services, id: int, **values: Any) -> None:
    services.database.write(
        lambda c: c.execute(sa.update(CONNECTS).where(CONNECTS.c.id == id), values)
    )


@pytest.fixture
def streams(services: Services) -> list[Stream]:
    """A meeting with a number, one with its UUID alone, and a webinar and a session without."""
    made = [
        Stream(),
        Stream(meeting_id=None),
        Stream(product="webinar", meeting_id=None),
        Stream(product="session"),
    ]
    for stream in made:
        services.intake.take(events.started(stream))
    return made


@pytest.mark.parametrize("width", WIDTHS)
def test_meetings_list_breaks_no_id(
    streams: list[Stream], services: Services, runner: FlaskCliRunner, width: str | None
) -> None:
    done = {"state": "done", "status": "done", "due_at": None, "recall_id": RECALL_ID}
    for id in (1, 2, 3):
        change(services, id, **done, topic="Weekly sync", host_id=HOST)
    change(services, 3, topic="四半期ビジネスレビューと来年度の計画についての打ち合わせ" * 3)
    told = printed(runner, "meetings", "list", width=width)
    for wanted in (str(streams[0].meeting_id), *(each.meeting_uuid for each in streams[1:])):
        assert wanted in told
    assert told.count(RECALL_ID) == told.count(HOST) == 3
    assert "Weekly sync" in told
    if width is None:  # one line a meeting, and all of it in it
        (line,) = (line for line in told.splitlines() if str(streams[0].meeting_id) in line)
        assert RECALL_ID in line and HOST in line and "Weekly sync" in line


def test_two_rows_of_a_restarted_stream_are_one_meeting(
    services: Services, runner: FlaskCliRunner
) -> None:
    lost_at = DAY + timedelta(minutes=2, seconds=11)
    put(
        services,
        {"state": "ended", "stop_reason": 13, "stopped_at": lost_at},
        {"state": "connected", "stopped_at": None, "connected_at": lost_at + timedelta(seconds=14)},
    )
    change(services, 1, restarted_as=2)
    older, newer = (
        " ".join(printed(runner, "meetings", "show", i, width=None).split()) for i in "12"
    )
    assert "Lost at 00:02:11 UTC; goes on in meeting 2 after a gap of 14 seconds." in older
    assert "Nothing to do here: meeting 2 has the rest." in older
    assert "Goes on from meeting 1 after a gap of 14 seconds." in newer
    assert "restarted as 2" in printed(runner, "meetings", "list", width=None)
    fields = ("restarted_as", "restart_of", "gap_seconds")
    shown = [json.loads(printed(runner, "meetings", "show", i, "--json", width=None)) for i in "12"]
    assert [[one[name] for name in fields] for one in shown] == [[2, None, None], [None, 1, 14.0]]
    listed = json.loads(printed(runner, "meetings", "list", "--json", width=None))
    assert [one["restarted_as"] for one in listed] == [None, 2]


@pytest.mark.parametrize("width", WIDTHS)
def test_events_list_breaks_no_id(
    streams: list[Stream], services: Services, runner: FlaskCliRunner, width: str | None
) -> None:
    services.database.write(
        lambda c: c.execute(
            sa.update(EVENTS).where(EVENTS.c.id == 2),
            {
                "event": "contact_center.voice_rtms_interrupted",
                "outcome": f"unknown: {'word ' * 9}",
            },
        )
    )
    told = printed(runner, "events", "list", width=width)
    assert all(stream.rtms_stream_id in told for stream in streams)
    assert "contact_center.voice_rtms_interrupted" in told


@pytest.mark.parametrize("width", WIDTHS)
def test_a_meetings_page_breaks_no_id(
    services: Services, runner: FlaskCliRunner, width: str | None
) -> None:
    long = f"wss://{'a' * 40}.zoom.example"
    services.intake.take(events.started(Stream(server_urls=long)))
    change(services, 1, topic="Weekly sync", topic_search="weekly sync", host_id=HOST)
    told = printed(runner, "meetings", "show", "1", width=width)
    assert long in told and HOST in told
    assert told.splitlines()[1].split(maxsplit=1) == ["topic", "Weekly sync"]
    assert told.count("weekly sync") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_a_refused_join_signature_is_loud(
    streams: list[Stream], services: Services, runner: FlaskCliRunner, width: str | None
) -> None:
    quiet = " ".join(printed(runner, "meetings", "list", width=width).split())
    assert "stop reason 18" not in quiet
    services.intake.take(events.stopped(streams[1], NOT_AUTHENTICATED))
    change(services, 2, state="done", reason=None, stop_reason=NOT_AUTHENTICATED, due_at=None)
    told = " ".join(printed(runner, "meetings", "list", width=width).split())
    assert "done: stop reason 18" in told
    assert "Not recorded: meeting 2." in told
    assert "ZOOM_CLIENT_ID or ZOOM_CLIENT_SECRET" in told
    alone = " ".join(printed(runner, "meetings", "show", "2", width=width).split())
    assert "Zoom refused the join signature" in alone.partition("meaning")[2]
    result = runner.invoke(args=["meetings", "list"], env={"FORCE_COLOR": "1", "COLUMNS": "80"})
    assert "\x1b[1;31mdone: stop reason 18" in result.stdout


def test_what_others_call_a_meeting_does_not_steer_the_terminal(
    streams: list[Stream], services: Services, runner: FlaskCliRunner
) -> None:
    change(services, 1, topic="a\x1b[2Jb [red]c[/red] \u202ed", last_error="e\x1b]0;f")
    told = printed(runner, "meetings", "list", width="80")
    told += printed(runner, "meetings", "show", "1", width="80")
    assert "\x1b" not in told and "\u202e" not in told
    assert "[red]c[/red]" in told


def found(runner: FlaskCliRunner, *args: str) -> list[int]:
    result = runner.invoke(args=["meetings", "list", "--json", *args])
    assert result.exit_code == 0, result.output
    return [row["id"] for row in json.loads(result.stdout)]


def test_meetings_are_found_by_number_uuid_and_topic(
    streams: list[Stream], services: Services, runner: FlaskCliRunner
) -> None:
    for id, topic in ((1, "Weekly Sync 100%"), (2, "四半期レビュー"), (3, "Straße")):
        change(services, id, topic=topic, topic_search=search_text(topic))
    number = str(streams[0].meeting_id)
    pasted = f"\u200e{number[:3]} {number[3:7]} {number[7:]}"
    for way in ("--meeting", "--search"):
        assert found(runner, way, number) == [1]
        assert found(runner, way, pasted) == [1]
        assert found(runner, way, streams[1].meeting_uuid) == [2]
    assert found(runner, "--search", "weekly  SYNC") == [1]
    assert found(runner, "--search", "レビュー") == [2]
    assert found(runner, "--search", "STRASSE") == [3]
    assert found(runner, "--search", "100%") == [1]
    assert found(runner, "--search", "0_%") == []
    assert found(runner, "--search", streams[2].rtms_stream_id[:8]) == [3]
    assert found(runner, "--meeting", "weekly") == []
    assert found(runner, "--meeting", number, "--state", "done") == []
    assert "No meetings match." in printed(
        runner, "meetings", "list", "--search", "nothing", width="80"
    )
