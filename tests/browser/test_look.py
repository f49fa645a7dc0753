"""What a person sees of the pages, and what only a browser can tell of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Dashboard, log_in

expect.set_options(timeout=20_000)  # milliseconds, on a loaded machine

# Every line on which a text of equals signs begins: an id's end, parted from the id.
_PARTED = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  const range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const at = node.textContent.search(/==/);
    if (at < 0 || node.parentElement.closest("details:not([open])")) continue;
    const line = (element, from) => {
      range.setStart(element, from); range.setEnd(element, from + 1);
      return range.getBoundingClientRect().top;
    };
    if (at === 0 || line(node, at - 1) !== line(node, at)) found.push(node.textContent);
  }
  return found;
}"""
_SHIFTS = """() => new Promise(tell => new PerformanceObserver((list, observer) => {
  observer.disconnect(); tell(list.getEntries().reduce((sum, each) => sum + each.value, 0));
}).observe({type: "layout-shift", buffered: true}) || setTimeout(() => tell(0), 300))"""


@pytest.fixture
def elsewhere(chromium: Browser, dashboard: Dashboard) -> Iterator[Page]:
    """The page of somebody in Adelaide, which is 9½ or 10½ hours ahead."""
    context = chromium.new_context(timezone_id="Australia/Adelaide")
    page = context.new_page()
    page.set_default_timeout(20_000)
    log_in(page, dashboard)
    yield page
    context.close()


@pytest.mark.parametrize("width", [768, 820, 1024])
@pytest.mark.parametrize("path", ["/events", "/meetings"])
def test_a_list_is_a_table_on_a_tablet(
    page: Page, dashboard: Dashboard, path: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    log_in(page, dashboard, path)
    heads = page.locator("thead th")
    expect(heads.first).to_be_visible()
    row = page.locator("tbody tr").first
    tops = row.locator("td").evaluate_all("cells => cells.map(c => c.getBoundingClientRect().top)")
    assert len(set(tops)) == 1
    assert heads.last.bounding_box()["x"] == row.locator("td").last.bounding_box()["x"]  # type: ignore[index]


def test_the_events_of_a_stream_are_folded(page: Page, dashboard: Dashboard) -> None:
    log_in(page, dashboard, "/events")
    stream = page.locator("tbody", has=page.locator("details")).first
    before = stream.locator("tr.folded")
    expect(before.first).to_be_hidden()
    stream.locator("summary").click()
    expect(before.first).to_be_visible()
    stream.locator("summary").click()
    expect(before.first).to_be_hidden()
    page.goto(dashboard.url(f"/meetings/{dashboard.recorded}"))
    page.get_by_text(re.compile(r"The events of this stream \(\d+\)")).click()
    expect(page.get_by_role("link", name="meeting.rtms_interrupted")).to_be_visible()


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_equals_signs_never_begin_a_line(page: Page, dashboard: Dashboard, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    log_in(page, dashboard)
    for path in ("/meetings", f"/meetings/{dashboard.failed}", "/events", "/events/1"):
        page.goto(dashboard.url(path))
        for details in page.locator("details").all():
            details.evaluate("details => { details.open = true }")
        assert page.evaluate(_PARTED) == [], path


def test_local_time_stands_beside_utc(elsewhere: Page, dashboard: Dashboard) -> None:
    elsewhere.goto(dashboard.url(f"/meetings/{dashboard.failed}"))
    first = elsewhere.locator("ol.timeline time").first
    expect(first).to_have_text(
        re.compile(r"^\d{4}-\d\d-\d\d (\d\d):(\d\d):\S+ UTC (\w{3} )?\d\d:\d\d local$")
    )
    text = first.inner_text()
    utc, local = (re.findall(r"\b(\d\d):(\d\d)\b", text)[n] for n in (0, -1))
    ahead = (int(local[0]) * 60 + int(local[1]) - int(utc[0]) * 60 - int(utc[1])) % 1440
    assert ahead in (570, 630)
    expect(elsewhere.locator("footer")).to_contain_text("local time (Australia/Adelaide)")


def test_local_time_moves_nothing_and_outlives_a_refresh(
    elsewhere: Page, dashboard: Dashboard
) -> None:
    for path in ("/meetings", "/events", f"/meetings/{dashboard.failed}"):
        elsewhere.goto(dashboard.url(path))
        expect(elsewhere.locator(".local").first).to_be_visible()
        assert elsewhere.evaluate(_SHIFTS) == 0, path
    elsewhere.goto(dashboard.url("/"))
    shown = elsewhere.locator(".page-head time")
    before = shown.inner_text()
    expect(shown).not_to_have_text(before)  # it refreshed by itself
    expect(shown).to_contain_text("local")


def test_who_is_in_utc_is_told_no_other_time(page: Page, dashboard: Dashboard) -> None:
    log_in(page, dashboard, "/meetings")
    if page.evaluate("new Date().getTimezoneOffset()") == 0:
        expect(page.locator(".local")).to_have_count(0)


def test_a_meeting_that_is_over_and_lost_offers_no_primary_retry(
    page: Page, dashboard: Dashboard
) -> None:
    log_in(page, dashboard, f"/meetings/{dashboard.failed}")
    expect(page.get_by_text("is over and was not recorded")).to_be_visible()
    expect(page.locator("main .button.primary")).to_have_count(0)


def test_no_json_is_in_a_sentence(page: Page, dashboard: Dashboard) -> None:
    log_in(page, dashboard)
    for path in ("/", "/meetings", f"/meetings/{dashboard.failed}"):
        page.goto(dashboard.url(path))
        expect(page.get_by_text("server_urls: Enter a valid URL.").first).to_be_visible()
        assert '{"' not in page.locator("main").inner_text()
