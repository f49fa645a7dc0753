"""Meetings by what people call them: their topics, hosts and accounts, shown and searched for, on
both engines."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from rtms.dashboard import index_scans, paging
from rtms.services import Services
from rtms.states import UNAUTHENTICATED
from rtms.text import search_text
from sandbox import Stream, events
from tests.dashboard import PASSWORD
from tests.integration.conftest import Zoom
from tests.integration.test_dashboard_meetings import DAY, Browser, browser, ids, link, put

__all__ = ["browser"]
pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)


def named(topic: str | None, **more: Any) -> dict[str, Any]:
    return {"topic": topic, "topic_search": topic and search_text(topic), **more}


def found(browser: Browser, **query: Any) -> list[int]:
    answer = browser.client.get("/meetings", query_string=query)
    assert answer.status_code == 200, answer.text
    return ids(answer.text)


PARTS = [
    "Überblick: Q3",
    "überBLICK",
    "ÜBERBLICK:",
    "blick: q",
    "週次 定例会議",
    "定例",
    "週次\u3000定例",
    "совещание",
    "100 %",
    "a_b",
    "👩‍💻",
    "ﬁx",
    "o'clock",
    'the "big" one',
    "\\back",
]


@pytest.mark.parametrize("due", [False, True])
def test_a_meeting_is_found_by_a_part_of_its_name(
    browser: Browser, services: Services, due: bool
) -> None:
    topic = (
        "U\u0308berblick: Q3 週次\u3000定例会議 СОВЕЩАНИЕ 100 % a_b 👩\u200d💻 fix o'clock "
        'the "big" one \\back'
    )
    due_at = {"due_at": DAY if due else None}
    put(services, named("Another"), named(topic, **due_at), named("aXb 1000 percent"), {})
    assert {q: found(browser, q=q) for q in PARTS} == {q: [2] for q in PARTS}


def test_wild_cards_are_text(browser: Browser, services: Services) -> None:
    put(services, named("Budget"), {})
    for q in ("%", "_", "B%t", "B_dget", "*", "budget--", "[a-z]"):
        assert found(browser, q=q) == []


@pytest.mark.parametrize("due", [False, True])
@pytest.mark.parametrize("column", ["host_id", "account_id"])
def test_a_meeting_is_found_by_whose_it_is(
    browser: Browser, services: Services, column: str, due: bool
) -> None:
    due_at = {"due_at": DAY if due else None}
    put(services, {}, {column: "xJ3kQ-_9", **due_at}, {column: "xJ3kQ-_9"}, {column: "another"})
    assert found(browser, q="xJ3kQ-_9") == [3, 2]
    assert found(browser, q="xJ3kQ") == []


def test_a_number_is_looked_for_among_ids_and_names(browser: Browser, services: Services) -> None:
    put(services, {}, named("Room 8000000003"), named("Call 2"), {}, {"meeting_id": "2"})
    assert found(browser, q="8000000003") == [4, 2]
    assert found(browser, q="2") == [5, 3, 2]


def test_a_name_and_a_filter_combine(browser: Browser, services: Services) -> None:
    failed = {"state": "failed", "reason": "refused"}
    tomorrow = {"received_at": DAY + timedelta(days=1)}
    put(
        services,
        named("Standup"),
        named("Standup", **failed),
        named("standup", **tomorrow),
        failed,
    )
    assert found(browser, q="stand") == [3, 2, 1]
    assert found(browser, q="stand", state="failed") == [2]
    assert found(browser, q="stand", state="failed: refused") == [2]
    assert found(browser, q="stand", day="2026-03-02") == [3]
    assert found(browser, q="stand", day="2026-03-03") == []


@pytest.mark.parametrize("state", ["", "failed"])
@pytest.mark.parametrize("every", [1, 7])
def test_pages_of_a_name_show_every_meeting_once_forwards_and_back(
    browser: Browser, services: Services, monkeypatch: pytest.MonkeyPatch, state: str, every: int
) -> None:
    """However little one page looks through."""
    monkeypatch.setattr(index_scans, "MAX_SEARCHED", 90)
    monkeypatch.setattr(paging, "MAX_TESTED", 60)
    failed = {"state": "failed", "reason": "refused"}
    put(
        services,
        *(
            named("Retro" if number % every == 0 else "Other", **failed if number % 2 else {})
            for number in range(1, 301)
        ),
    )
    wanted = [n for n in range(300, 0, -1) if n % every == 0 and (n % 2 or not state)]
    older: str | None = f"/meetings?q=retro&state={state}"
    forwards: list[int] = []
    while older:
        html = browser.get(older)
        forwards += ids(html)
        older = link(html, "Older") or link(html, "Search further back")
    assert forwards == wanted
    back = [ids(html)]
    while newer := link(html, "Newer"):
        html = browser.get(newer)
        back.append(ids(html))
    assert {one for page in back for one in page} == set(wanted)


def test_what_an_id_leads_to_is_found_however_old_it_is(
    browser: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_scans, "MAX_SEARCHED", 20)
    put(services, *(named("Planning 8000000001") if number == 30 else {} for number in range(60)))
    assert found(browser, q="8000000001") == [2]
    html = browser.get("/meetings?q=8000000001")
    assert "there may be more" in html
    further = link(html, "Search further back")
    assert further
    assert ids(browser.get(further)) == [31, 2]


def test_names_and_hosts_are_on_every_page_of_a_meeting(
    browser: Browser, services: Services
) -> None:
    evil = named("<b>Weekly\u202e sync</b>\n週次", host_id="host<1>", account_id="acct&1")
    live = {"state": "connected", "stopped_at": None, "due_at": DAY}
    put(services, {**evil, **live}, named("  \u200b "), {"state": "failed", "reason": "refused"})
    for path in ("/", "/meetings", "/meetings/1", "/meetings/1/transcript"):
        html = browser.client.get(path).text
        assert "<bdi>&lt;b&gt;Weekly sync&lt;/b&gt; 週次</bdi>" in html, path
        assert "8000000000" in html or path.endswith("transcript"), path
    for path in ("/meetings", "/meetings/1"):
        assert "host&lt;1&gt;" in browser.get(path)
    page = browser.get("/meetings/1")
    assert "<title>Meeting 1: &lt;b&gt;Weekly sync&lt;/b&gt; 週次" in page
    assert "acct&amp;1" in page
    for query in re.findall(r'href="/meetings\?q=([^"]*)"', page):
        assert 1 in ids(browser.get(f"/meetings?q={unescape(query)}")), query
    assert "Meeting 2: <bdi>8000000001</bdi>" in browser.get("/meetings/2")


def test_an_id_never_leaves_its_equals_signs_behind(browser: Browser, services: Services) -> None:
    put(services, {"meeting_id": None, "meeting_uuid": "abcd/efgh+ijkl=="})
    for path in ("/meetings", "/meetings/1"):
        assert '<bdi>abcd/efgh+<span class="nowrap">ijkl==</span></bdi>' in browser.get(path)


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("name", ["rtms_stream_id", "meeting_uuid", "meeting_id"])
def test_an_answer_to_a_request_is_shown_with_the_meeting_it_names(
    browser: Browser, zoom: Zoom, name: str, is_first: bool
) -> None:
    """Also where it comes before the stream that it lets begin."""
    stream, another = Stream(), Stream()
    payload = {name: getattr(stream, name), "status": "<denied>", "by": {"host": "Ada"}}
    answer = {"event": "rtms.request_status", "event_ts": events.now_ms(), "payload": payload}
    starts = [events.started(each) for each in (stream, another)]
    for body in [answer, *starts] if is_first else [*starts, answer]:
        assert zoom.deliver(body).status_code == 200
    page = browser.get("/meetings/1")
    assert "the answer to a request to start a stream" in page
    assert "&#34;status&#34;: &#34;&lt;denied&gt;&#34;" in page
    assert "&#34;host&#34;: &#34;Ada&#34;" in page
    assert "request to start" not in browser.get("/meetings/2")
    event = browser.get(f"/events/{1 if is_first else 3}")
    assert 'href="/meetings/1">Meeting 1</a>' in event
    assert 'href="/meetings/2">' not in event
    if is_first and name == "meeting_id":
        assert f"meeting <bdi>{stream.meeting_id}</bdi>" in browser.get("/events")


def test_an_answer_about_a_number_belongs_to_one_occurrence_of_it(
    browser: Browser, services: Services, zoom: Zoom
) -> None:
    stream = Stream()
    put(services, {"meeting_id": str(stream.meeting_id)})
    assert zoom.deliver(events.started(stream)).status_code == 200
    body = {"event": "rtms.request_status", "event_ts": events.now_ms()}
    assert zoom.deliver(body | {"payload": {"meeting_id": stream.meeting_id}}).status_code == 200
    assert "request to start" in browser.get("/meetings/2")
    assert "request to start" not in browser.get("/meetings/1")


def test_streams_that_zoom_refused_are_as_loud_in_the_list_as_on_the_command_line(
    browser: Browser, services: Services
) -> None:
    put(services, {}, {"state": "ended", "stop_reason": 18}, {"state": "done", "stop_reason": 18})
    html = browser.get("/meetings")
    assert re.search(r"Not recorded: meetings.*/meetings/3.*/meetings/2", html)
    assert UNAUTHENTICATED.todo in unescape(html)
    assert "(reason 18)" in html
    assert UNAUTHENTICATED.todo not in unescape(browser.get("/meetings?q=8000000000"))


def test_retrying_what_is_over_says_so_and_nothing_else(
    browser: Browser, services: Services
) -> None:
    lost = {"state": "failed", "reason": "refused", "connected_at": None, "recall_id": None}
    put(services, lost)
    html = browser.get("/meetings/1")
    assert "is over and was not recorded" in html
    assert 'class="button primary"' not in html
    html = browser.get(browser.press("/meetings/1", "/meetings/1/retry").headers["Location"])
    assert "notice-warn" in html
    assert "Its stream has stopped, so Recall may not find it." in html
    assert "The stream is over, and Recall is asked once more" in html
    assert "is over and was not recorded" not in html
    assert "notice-good" not in html
