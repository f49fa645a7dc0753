"""The dashboard's raw record: the list, one event, and Replay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from models import EVENTS
from rtms.dashboard import paging
from rtms.services import Services
from sandbox import Stream, events
from tests.conftest import load
from tests.dashboard import PASSWORD
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom
from tests.integration.test_dashboard_meetings import DAY, Browser, browser, ids, link

__all__ = ["browser"]
pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)


def put(services: Services, *rows: Mapping[str, Any]) -> None:
    """Put events into the record, with what each of them has."""
    made = [
        {
            "source": "zoom",
            "event": "meeting.rtms_started",
            "event_ts": None,
            "dedupe_key": f"key-{number}",
            "rtms_stream_id": f"a{number:05x}feedface",
            "tracking_id": None,
            "payload": {"event": "meeting.rtms_started"},
            "received_at": DAY + timedelta(seconds=number),
            "outcome": "accepted: to be connected",
            **row,
        }
        for number, row in enumerate(rows)
    ]
    services.database.write(lambda connection: connection.execute(EVENTS.insert(), made))


def test_an_empty_record_says_what_to_do(browser: Browser) -> None:
    assert "No events yet" in browser.get("/events")
    assert "No matching events" in browser.get("/events?outcome=rejected")


def test_the_record_is_listed_and_filtered(browser: Browser, services: Services) -> None:
    stopped = {"event": "meeting.rtms_stopped", "outcome": "duplicate: this stop is known"}
    put(
        services,
        {},
        stopped,
        {"outcome": "rejected"},
        {"received_at": DAY + timedelta(days=1)},
        {"source": "recall", "event": "bot.done", "rtms_stream_id": None},
    )
    html = browser.get("/events")
    assert ids(html) == [5, 4, 3, 2, 1]
    assert "this stop is known" in html
    assert ids(browser.get("/events?event=meeting.rtms_stopped")) == [2]
    assert ids(browser.get("/events?outcome=duplicate")) == [2]
    assert ids(browser.get("/events?outcome=rejected")) == [3]
    assert ids(browser.get("/events?outcome=accepted&day=2026-03-01")) == [5, 1]
    assert ids(browser.get("/events?day=2026-03-02")) == [4]
    assert ids(browser.get("/events?day=2026-03-05")) == []
    assert ids(browser.get("/events?stream=a00001feedface")) == [2]
    assert ids(browser.get("/events?stream=a00001")) == [2]
    assert ids(browser.get("/events?stream=%E2%80%8Ea00001%C2%A0&day=%E2%80%8E2026-03-01")) == [2]
    assert ids(browser.get("/events?stream=a00001&outcome=accepted")) == []
    assert ids(browser.get("/events?stream=%25%25%25%25%25%25")) == []


@on_one_engine
@pytest.mark.parametrize("query", ["outcome=accept", "stream=abc", "day=1", "before=x"])
def test_what_means_nothing_is_said(browser: Browser, query: str) -> None:
    assert 'role="alert"' in browser.get(f"/events?{query}", status=400)


@pytest.mark.parametrize("query", ["", "outcome=accepted", "stream=beginsalike", "day=2026-03-01"])
def test_pages_show_every_event_once_forwards_and_back(
    browser: Browser, services: Services, query: str
) -> None:
    put(services, *({"rtms_stream_id": f"beginsalike{number % 7}"} for number in range(120)))
    forwards, html = [], browser.get(f"/events?{query}")
    while True:
        forwards.append(ids(html))
        older = link(html, "Older")
        if older is None:
            break
        html = browser.get(older)
    assert [one for each in forwards for one in each] == list(range(120, 0, -1))
    back = [forwards[-1]]
    while newer := link(html, "Newer"):
        html = browser.get(newer)
        back.append(ids(html))
    assert back == forwards[::-1]


def test_without_an_index_only_so_many_are_looked_at(
    browser: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_TESTED", 30)
    put(services, {"outcome": "rejected"}, *({} for _ in range(40)))
    html = browser.get("/events?outcome=rejected")
    assert ids(html) == []
    assert "Only the nearest few thousand" in html
    further = link(html, "Search further back")
    assert further
    assert ids(browser.get(further)) == [1]
    assert ids(browser.get("/events?outcome=rejected&day=2026-03-01")) == []


def test_an_event_shows_its_body_and_its_meeting(browser: Browser, zoom: Zoom, rows: Rows) -> None:
    stream = Stream(meeting_id=98765432100)
    body = events.started(stream)
    body["payload"]["topic"] = 'abc\u202egnp.<b>"\ud83d\ude00\u05d0'
    body["payload"]["half"] = "\ud800"
    zoom.deliver(body)
    html = browser.get("/events/1")
    assert 'href="/meetings/1"' in html
    assert "98765432100" in html
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)
    assert shown
    text = unescape(shown[1])
    assert f'"rtms_stream_id": "{stream.rtms_stream_id}"' in text
    assert '"topic": "abc\\u202egnp.<b>\\"\U0001f600\u05d0"' in text
    assert '"half": "\\ud800"' in text
    assert "<b>" not in shown[1]


def test_unknown_events_are_not_found(browser: Browser) -> None:
    assert "There is no event 7" in browser.get("/events/7", status=404)
    browser.get("/events/99999999999999999999", status=404)
    browser.get("/events/x", status=404)


def test_replay_runs_a_stored_event_through_the_rules(
    browser: Browser, services: Services, rows: Rows
) -> None:
    body = events.started(Stream())
    put(
        services, {"payload": body, "outcome": "rejected: an older version", "rtms_stream_id": None}
    )
    notice = browser.notice(browser.press("/events/1", "/events/1/replay"))
    assert notice == "Event 1 was replayed (accepted): to be connected (meeting 1)."
    assert rows.meeting().state == "pending"
    assert rows.events()[0].outcome == "accepted: to be connected"
    again = browser.notice(browser.press("/events/1", "/events/1/replay"))
    assert "(duplicate): this start is already known" in again
    assert len(rows.meetings()) == 1


def test_what_replay_cannot_do_is_said(browser: Browser, services: Services, rows: Rows) -> None:
    malformed = load("meeting.rtms_started__missing_stream_id")
    put(services, {"payload": malformed}, {"source": "recall", "event": "bot.done"})
    notice = browser.notice(browser.press("/events/1", "/events/1/replay"))
    assert notice.startswith("Event 1 was replayed (rejected): ")
    assert "replay" not in browser.get("/events/2")
    answer = browser.post("/events/2/replay", page="/events/2")
    assert "is not from Zoom" in browser.notice(answer)
    gone = browser.post("/events/9/replay", page="/events/2")
    assert gone.status_code == 404
    assert rows.meetings() == []


def test_replay_is_taken_from_its_page_only(
    browser: Browser, services: Services, rows: Rows
) -> None:
    put(services, {"payload": events.started(Stream())})
    assert browser.client.post("/events/1/replay").status_code == 403
    assert browser.client.post("/events/1/replay", data={"csrf_token": "0" * 64}).status_code == 403
    assert browser.client.get("/events/1/replay").status_code == 405
    assert rows.meetings() == []
    with services.database.read() as connection:
        assert connection.scalar(sa.select(EVENTS.c.outcome)) == "accepted: to be connected"


def test_what_came_of_one_stream_in_a_row_is_folded(browser: Browser, zoom: Zoom) -> None:
    first, second = Stream(), Stream()
    for body in (
        events.started(first),
        events.interrupted(first),
        events.started(second),
        events.stopped(first),
        events.stopped(second),
    ):
        zoom.deliver(body)
    html = browser.get("/events")
    assert ids(html) == [5, 4, 3, 2, 1]
    assert html.count("<details") == html.count('<tr class="folded">') == 1
    assert "1 earlier" in html
    assert "<details" not in browser.get(f"/events?stream={first.rtms_stream_id}")


def test_the_name_of_an_event_breaks_between_its_words_only(
    browser: Browser, services: Services
) -> None:
    put(services, {"event": "meeting.rtms_started"}, {"event": "<b>.._x"})
    html = browser.get("/events")
    assert "<bdi>meeting.<wbr>rtms_<wbr>started</bdi>" in html
    assert "<bdi>&lt;b&gt;.._<wbr>x</bdi>" in html
