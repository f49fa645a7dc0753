"""Meetings by what people call them: their topics, hosts and accounts, shown and searched for, on
both engines."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from rtms.dashboard import paging, ways
from rtms.services import Services
from rtms.text import search_text
from tests.dashboard import PASSWORD
from tests.integration.test_dashboard_meetings import DAY, Browser, browser, ids, link, put

__all__ = ["browser"]
pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)


def named(topic: str | None, **more: Any) -> dict[str, Any]:
    return {"topic": topic, "topic_search": topic and search_text(topic), **more}


def found(browser: Browser, **query: Any) -> list[int]:
    answer = browser.client.get("/meetings", query_string=query)
    assert answer.status_code == 200, answer.text
    return ids(answer.text)


@pytest.mark.parametrize("due", [False, True])
@pytest.mark.parametrize(
    "q",
    [
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
    ],
)
def test_a_meeting_is_found_by_a_part_of_its_name(
    browser: Browser, its: Services, q: str, due: bool
) -> None:
    topic = (
        "U\u0308berblick: Q3 週次\u3000定例会議 СОВЕЩАНИЕ 100 % a_b 👩\u200d💻 fix o'clock "
        'the "big" one \\back'
    )
    due_at = {"due_at": DAY if due else None}
    put(its, named("Another"), named(topic, **due_at), named("aXb 1000 percent"), {})
    assert found(browser, q=q) == [2]


def test_wild_cards_are_text(browser: Browser, its: Services) -> None:
    put(its, named("Budget"), {})
    for q in ("%", "_", "B%t", "B_dget", "*", "budget--", "[a-z]"):
        assert found(browser, q=q) == []


@pytest.mark.parametrize("due", [False, True])
@pytest.mark.parametrize("column", ["host_id", "account_id"])
def test_a_meeting_is_found_by_whose_it_is(
    browser: Browser, its: Services, column: str, due: bool
) -> None:
    due_at = {"due_at": DAY if due else None}
    put(its, {}, {column: "xJ3kQ-_9", **due_at}, {column: "xJ3kQ-_9"}, {column: "another"})
    assert found(browser, q="xJ3kQ-_9") == [3, 2]
    assert found(browser, q="xJ3kQ") == []


def test_a_number_is_looked_for_among_ids_and_names(browser: Browser, its: Services) -> None:
    put(its, {}, named("Room 8000000003"), named("Call 2"), {}, {"meeting_id": "2"})
    assert found(browser, q="8000000003") == [4, 2]
    assert found(browser, q="2") == [5, 3, 2]


def test_a_name_and_a_filter_combine(browser: Browser, its: Services) -> None:
    failed = {"state": "failed", "reason": "refused"}
    tomorrow = {"received_at": DAY + timedelta(days=1)}
    put(
        its,
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
    browser: Browser, its: Services, monkeypatch: pytest.MonkeyPatch, state: str, every: int
) -> None:
    """However little one page looks through."""
    monkeypatch.setattr(ways, "LOOK_THROUGH", 90)
    monkeypatch.setattr(paging, "LOOK_AT", 60)
    failed = {"state": "failed", "reason": "refused"}
    put(
        its,
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
        older = link(html, "Older") or link(html, "Look further back")
    assert forwards == wanted
    back = [ids(html)]
    while newer := link(html, "Newer"):
        html = browser.get(newer)
        back.append(ids(html))
    assert {one for page in back for one in page} == set(wanted)


def test_what_an_id_leads_to_is_found_however_old_it_is(
    browser: Browser, its: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "LOOK_THROUGH", 20)
    put(its, *(named("Planning 8000000001") if number == 30 else {} for number in range(60)))
    assert found(browser, q="8000000001") == [2]
    html = browser.get("/meetings?q=8000000001")
    assert "there may be more" in html
    further = link(html, "Look further back")
    assert further
    assert ids(browser.get(further)) == [31, 2]


def test_names_and_hosts_are_on_every_page_of_a_meeting(browser: Browser, its: Services) -> None:
    evil = named("<b>Weekly\u202e sync</b>\n週次", host_id="host<1>", account_id="acct&1")
    live = {"state": "connected", "stopped_at": None, "due_at": DAY}
    put(its, {**evil, **live}, named("  \u200b "), {"state": "failed", "reason": "refused"})
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


def test_an_id_never_leaves_its_equals_signs_behind(browser: Browser, its: Services) -> None:
    put(its, {"meeting_id": None, "meeting_uuid": "abcd/efgh+ijkl=="})
    for path in ("/meetings", "/meetings/1"):
        assert '<bdi>abcd/efgh+<span class="nowrap">ijkl==</span></bdi>' in browser.get(path)
