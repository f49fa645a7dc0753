"""The dashboard's list of meetings: searched, filtered, page by page, on both engines."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from models import ADMIN_SESSIONS, CONNECTS
from rtms.dashboard import paging
from rtms.services import Services
from sandbox import Stream, events
from tests.dashboard import PASSWORD, csrf_token, log_in
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom

DAY = datetime(2026, 3, 1, tzinfo=UTC)

pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)


class Browser:
    """Somebody who has logged in."""

    def __init__(self, app: Flask) -> None:
        self.client = log_in(app)

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def press(self, page: str, action: str) -> TestResponse:
        """Send the page's form with this action, as its button does; returns the answer."""
        assert f'action="{action}"' in self.get(page)
        return self.post(action, page)

    def post(self, path: str, page: str) -> TestResponse:
        """Send an empty form with the token that a page carries."""
        token = csrf_token(self.client.get(page))
        return self.client.post(path, data={"csrf_token": token})

    def notice(self, answer: TestResponse) -> str:
        """The notice that the next page shows."""
        assert answer.status_code == 303
        html = self.get(answer.headers["Location"])
        found = re.search(r'<p class="notice[^>]*role="(?:status|alert)">(.*?)</p>', html)
        assert found, html
        return unescape(found[1])


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


def put(services: Services, *rows: Mapping[str, Any]) -> None:
    """Put rows into the table, with what every row has."""
    made = []
    for number, row in enumerate(rows):
        at = row.get("received_at") or DAY + timedelta(seconds=number)
        made.append(
            {
                "rtms_stream_id": f"a{number:05x}feedfacecafe",
                "meeting_uuid": f"uuid-{number}==",
                "meeting_id": f"8{number:09}",
                "product": "meeting",
                "operator_id": f"operator-{number}",
                "server_urls": "wss://rtms.zoom.signature.example:443",
                "event_ts": int(at.timestamp() * 1000),
                "state": "done",
                "reason": None,
                "recall_id": f"00000000-0000-4000-8000-{number:012}",
                "status": "done",
                "last_error": None,
                "due_at": None,
                "connect_by": at + timedelta(seconds=60),
                "idempotency_key": f"key-{number}",
                "received_at": at,
                "connected_at": at + timedelta(seconds=1.5),
                "stopped_at": at + timedelta(minutes=42),
                **row,
            }
        )
    columns = dict.fromkeys(name for each in made for name in each)
    filled = [{**columns, **each} for each in made]
    services.database.write(lambda connection: connection.execute(CONNECTS.insert(), filled))


def ids(html: str) -> list[int]:
    """The meetings that a list shows, in its order."""
    return [int(each) for each in re.findall(r'<th scope="row"><a href="/[a-z]+/(\d+)">', html)]


def link(html: str, words: str) -> str | None:
    """The address of the page's link with these words."""
    for href, text in re.findall(r'<a class="button"[^>]*href="([^"]*)"[^>]*>(.*?)</a>', html):
        if words in text:
            return unescape(href)
    return None


def test_without_logging_in_nothing_is_shown(app: Flask, services: Services) -> None:
    put(services, {})
    for path in ("/meetings", "/meetings/1", "/meetings/1/transcript", "/events", "/events/1"):
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.headers["Location"][:6]) == (303, "/login")


def test_an_empty_list_says_what_to_do(browser: Browser) -> None:
    html = browser.get("/meetings")
    assert "No meetings yet" in html
    assert "A meeting appears here when Zoom reports its stream" in html
    assert "No matching meetings" in browser.get("/meetings?q=12345678901")


def test_each_row_says_how_its_meeting_went(
    browser: Browser, services: Services, zoom: Zoom
) -> None:
    put(
        services,
        {},
        {
            "state": "failed", "reason": "window_expired", "recall_id": None, "status": None,
            "connected_at": None, "last_error": "Recall answered 507: it has no free worker.",
        },
        {"product": "webinar", "state": "connected", "stopped_at": None, "due_at": DAY},
    )  # fmt: skip
    html = browser.get("/meetings")
    assert ids(html) == [3, 2, 1]
    live, failed, done = re.findall(r"<tr>\s*<th scope=\"row\">.*?</tr>", html, re.DOTALL)
    assert "webinar <bdi>8000000002</bdi>" in live
    assert "so far" in live
    assert "not connected in time" in failed
    assert "Recall answered 507: it has no free worker." in failed
    assert "<bdi>8000000000</bdi>" in done
    assert "1.5 s" in done
    assert "41 min" in done
    assert "2026-03-01 00:00:00" in done


def test_what_zoom_and_recall_said_is_text_on_every_page(
    browser: Browser, services: Services, zoom: Zoom, rows: Rows
) -> None:
    evil = "<script>alert(1)</script>\"'\u200f"
    put(
        services,
        {
            "meeting_id": evil, "meeting_uuid": evil, "rtms_stream_id": evil, "operator_id": evil,
            "recall_id": evil, "status": evil, "sub_code": evil, "last_error": evil,
            "state": "failed", "reason": "recall_failed", "server_urls": evil,
        },
    )  # fmt: skip
    stream = Stream(
        meeting_id='"><img src=x>', rtms_stream_id="<b>stream</b>", meeting_uuid="{{7*7}}"
    )
    zoom.deliver(events.started(stream))
    pages = ["/meetings", "/meetings/1", "/meetings/2", "/events", "/events/1"]
    for page in [*pages, "/meetings?q=%3Cscript%3Ealert(1)%3C/script%3E"]:
        html = browser.get(page)
        assert "<script>alert" not in html
        assert "<img" not in html
        assert "<b>stream" not in html
        assert "\u200f" not in re.sub(r"<bdi.*?</bdi>|\"[^\"]*\"", "", html, flags=re.DOTALL)


IDS = [
    "8000000003",
    "800-000 00 03",
    " 800\u2013000\u20130003 ",
    "uuid-3==",
    "a00003feedfacecafe",
    "a00003fe",
    "a00003",
    "operator-3",
    "00000000-0000-4000-8000-000000000003",
]


@pytest.mark.parametrize("due", [False, True])
def test_a_meeting_is_found_by_each_of_its_ids(
    browser: Browser, services: Services, due: bool
) -> None:
    put(services, *({"due_at": DAY if due else None} for _ in range(6)))
    found = {q: ids(browser.get(f"/meetings?q={q}")) for q in IDS}
    assert found == {q: [4] for q in IDS}


def test_a_pending_meeting_is_found_before_anything_came_of_it(
    browser: Browser, zoom: Zoom, rows: Rows
) -> None:
    zoom.deliver(events.started(Stream(meeting_id=98765432100)))
    row = rows.meeting()
    assert (row.state, row.due_at is None) == ("pending", False)
    for q in ("987 6543 2100", row.meeting_uuid, row.operator_id, row.rtms_stream_id, "1"):
        assert ids(browser.client.get("/meetings", query_string={"q": q}).text) == [1]


def test_what_cannot_be_seen_of_what_was_pasted_is_not_searched_for(
    browser: Browser, services: Services
) -> None:
    put(services, {"meeting_id": "85551234567"}, {"rtms_stream_id": "c0ffee00feedface"})
    numbers = ("\u200e85551234567\u200f", "855\u00a05123\u202f4567", "\u202d855-5123-4567\u202c")
    for q in (*numbers, "８５５\u30005123 4567\ufeff", "855\u20115123\n4567"):
        assert ids(browser.client.get("/meetings", query_string={"q": q}).text) == [1], ascii(q)
    for q in ("\u200bc0ffee00feedface", "c0ffee\u00ad00"):
        assert ids(browser.client.get("/meetings", query_string={"q": q}).text) == [2], ascii(q)
    assert ids(browser.client.get("/meetings", query_string={"q": "\u200b "}).text) == [2, 1]
    for q in ("a\0b", "\U0001fae8", "\ufffe"):
        assert "No matching meetings" in browser.client.get("/meetings", query_string={"q": q}).text


def test_what_is_not_an_id_finds_nothing(browser: Browser, services: Services) -> None:
    put(services, {}, {})
    for q in ("00000", "%", "______", "' OR 1=1 --", "9" * 30, "operator", "uuid-1"):
        assert ids(browser.client.get("/meetings", query_string={"q": q}).text) == []


def test_filters_combine(browser: Browser, services: Services) -> None:
    failed = {"state": "failed", "reason": "window_expired"}
    refused = {"state": "failed", "reason": "refused"}
    next_day = {"received_at": DAY + timedelta(days=1)}
    put(
        services,
        {},
        failed,
        refused,
        {**failed, **next_day},
        next_day | {"meeting_id": "123456789"},
    )
    assert ids(browser.get("/meetings?state=failed")) == [4, 3, 2]
    assert ids(browser.get("/meetings?state=failed: window_expired")) == [4, 2]
    assert ids(browser.get("/meetings?state=failed:refused")) == [3]
    assert ids(browser.get("/meetings?day=2026-03-01")) == [3, 2, 1]
    assert ids(browser.get("/meetings?day=2026-03-02")) == [5, 4]
    assert ids(browser.get("/meetings?day=2026-03-03")) == []
    assert ids(browser.get("/meetings?day=2026-03-02&state=failed")) == [4]
    assert ids(browser.get("/meetings?day=2026-03-02&q=123-456-789")) == [5]
    assert ids(browser.get("/meetings?day=2026-03-01&q=123456789")) == []
    assert ids(browser.get("/meetings?q=123456789&state=done")) == [5]
    assert ids(browser.get("/meetings?q=123456789&state=failed")) == []
    assert ids(browser.get("/meetings?state=pending")) == []


@on_one_engine
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("day=yesterday", "This is not a date"),
        ("day=2026-02-30", "This is not a date"),
        ("day=9999-12-31", "This is not a date"),
        ("day=٢٠٢٦-٠٣-٠١", "This is not a date"),
        ("state=broken", "Unknown state"),
        ("state=done: refused", "Unknown state"),
        ("before=x", "the id of a row"),
        ("before=99999999999999999999", "the id of a row"),
        ("after=" + "9" * 20, "the id of a row"),
        ("before=" + "1" * 5000, "the id of a row"),
        ("after=" + "0" * 30 + "1", "the id of a row"),
        ("before=" + "0" * 20 + "9" * 30, "the id of a row"),
        ("after=-1", "the id of a row"),
        ("before=1&after=2", "not both"),
        ("q=" + "a" * 300, "Enter at most 255 characters"),
    ],
)
def test_what_means_nothing_is_said(browser: Browser, query: str, says: str) -> None:
    assert says in unescape(browser.get(f"/meetings?{query}", status=400))


@pytest.mark.parametrize("query", ["", "state=failed", "q=8123456789", "day=2026-03-01"])
def test_pages_show_every_meeting_once_forwards_and_back(
    browser: Browser, services: Services, query: str
) -> None:
    mine = {"state": "failed", "reason": "refused", "meeting_id": "8123456789"}
    put(services, *(mine for _ in range(120)))
    forwards, html = [], browser.get(f"/meetings?{query}")
    assert link(html, "Newer") is None
    while True:
        forwards.append(ids(html))
        older = link(html, "Older")
        if older is None:
            break
        html = browser.get(older)
    assert [len(each) for each in forwards] == [50, 50, 20]
    assert [one for each in forwards for one in each] == list(range(120, 0, -1))
    back = [forwards[-1]]
    while newer := link(html, "Newer"):
        html = browser.get(newer)
        back.append(ids(html))
    assert back == forwards[::-1]


def test_a_look_that_is_cut_short_says_so_and_goes_on_from_there(
    browser: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_TESTED", 30)
    wanted = {"state": "failed", "reason": "refused"}
    others = {"state": "failed", "reason": "window_expired"}
    put(services, wanted, *(others for _ in range(70)), wanted)
    html = browser.get("/meetings?state=failed: refused")
    found = [ids(html)]
    while older := link(html, "Search further back"):
        assert "Only the nearest few thousand" in html
        html = browser.get(older)
        found.append(ids(html))
    assert found == [[72], [], [1]]
    assert "Only the nearest few thousand" not in html


@pytest.mark.parametrize("seed", range(2))
def test_a_search_that_matches_in_several_ways_shows_every_meeting_once(
    browser: Browser, services: Services, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One way has many rows of which few are wanted, another few that are; they end at different
    depths, and the page that is cut must not go beyond the way that was looked along least."""
    monkeypatch.setattr(paging, "MAX_TESTED", 80)
    draw = random.Random(seed)
    failed, done = {"state": "failed", "reason": "refused"}, {"state": "done"}
    sparse, dense_until = draw.choice([3, 7, 20]), draw.randrange(100, 700)
    made: list[dict[str, Any]] = []
    for number in range(1, 701):
        if number % sparse == 0:
            due = DAY if draw.random() < 0.1 else None  # on another way yet
            made.append({**failed, "operator_id": "7777777", "due_at": due})
        elif number % 5 == 0:
            made.append({**failed, "meeting_id": "other"})
        else:
            state = failed if number <= dense_until and draw.random() < 0.3 else done
            made.append({**state, "meeting_id": "7777777"})
    put(services, *made)
    wanted = [
        number
        for number, row in enumerate(made, 1)
        if row["state"] == "failed" and "7777777" in (row.get("operator_id"), row.get("meeting_id"))
    ]
    older: str | None = "/meetings?q=7777777&state=failed"
    forwards: list[int] = []
    while older:
        html = browser.get(older)
        forwards += ids(html)
        older = link(html, "Older") or link(html, "Search further back")
    assert forwards == wanted[::-1]
    back = [ids(html)]
    while newer := link(html, "Newer"):
        html = browser.get(newer)
        back.append(ids(html))
    # The newest page is a whole one, and shows some for a second time.
    newest, rest = back[-1], [one for page in reversed(back[:-1]) for one in page]
    assert rest == wanted[: len(rest)][::-1]
    assert newest == wanted[::-1][: len(newest)]
    assert {*newest, *rest} == set(wanted)


def test_new_meetings_do_not_push_others_off_a_page(browser: Browser, services: Services) -> None:
    put(services, *({} for _ in range(60)))
    older = link(browser.get("/meetings"), "Older")
    assert older
    put(services, *({"rtms_stream_id": f"new {number}"} for number in range(7)))
    html = browser.get(older)
    assert ids(html) == list(range(10, 0, -1))
    newer = link(html, "Newer")
    assert newer
    assert ids(browser.get(newer)) == list(range(60, 10, -1))


def test_a_session_that_is_over_shows_nothing(browser: Browser, services: Services) -> None:
    assert browser.client.get("/meetings").status_code == 200
    services.database.write(lambda connection: connection.execute(ADMIN_SESSIONS.delete()))
    assert browser.client.get("/meetings").status_code == 303
