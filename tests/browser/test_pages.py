"""Each page in a real browser: nothing overflows, nobody is kept from reading it, and it does what
it says, with JavaScript and without."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from sandbox import Stream, events
from tests.browser.conftest import Dashboard, log_in

WIDTHS = (360, 390, 768, 820, 1024, 1280, 1440)
expect.set_options(timeout=20_000)  # milliseconds, on a loaded machine
# Boxes that hide a part of what is in them; the charts' numbers may scroll where they are opened.
_CUT_OFF = """() => [...document.querySelectorAll(".scroll, .card, .tile, table.cards td")]
    .filter(box => !box.closest("details") && box.clientWidth > 0)
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => box.outerHTML.slice(0, 200))"""
_PLAY_A_MOMENT = """async () => {
    const video = document.querySelector("video");
    video.muted = true;
    video.currentTime = 7.5;
    await video.play();
    video.pause();
}"""
LONG = ("meetings", "events")  # a picture shows their beginning
SCREENSHOTS = os.environ.get("SCREENSHOTS")


def paths(dashboard: Dashboard) -> dict[str, str]:
    return {
        "overview": "/",
        "meetings": "/meetings",
        "search-in-vain": "/meetings?q=no+such+meeting",
        "meeting": f"/meetings/{dashboard.recorded}",
        "failed-meeting": f"/meetings/{dashboard.failed}",
        "transcript": f"/meetings/{dashboard.recorded}/transcript",
        "events": "/events",
        "event": "/events/1",
        "not-found": "/meetings/999999",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_at_every_width(
    chromium: Browser, dashboard: Dashboard, scheme: str
) -> None:
    context = chromium.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(dashboard.url("/login"))
    _look(page, "login", scheme)
    log_in(page, dashboard)
    for name, path in paths(dashboard).items():
        page.goto(dashboard.url(path))
        expect(page.locator("h1")).to_be_visible()
        if name == "meeting":
            expect(page.get_by_text("Good morning, everyone.")).to_be_visible()
            page.wait_for_function("document.querySelector('video').readyState >= 3")
            page.evaluate(_PLAY_A_MOMENT)
        _look(page, name, scheme)
    context.close()


def _look(page: Page, name: str, scheme: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} pixels wide at {width}"
        cut_off = page.evaluate(_CUT_OFF)
        assert cut_off == [], f"{name} at {width} pixels"
        if SCREENSHOTS and (width == 1440 or (width, scheme) == (360, "light")):
            path = Path(SCREENSHOTS) / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=name not in LONG)
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


def test_the_overview_refreshes_by_itself(page: Page, dashboard: Dashboard) -> None:
    log_in(page, dashboard)
    stream = Stream(meeting_id=86667778889)
    expect(page.get_by_text(str(stream.meeting_id))).to_have_count(0)
    assert dashboard.zoom.deliver(events.started(stream)).ok
    expect(page.get_by_role("link", name=re.compile(str(stream.meeting_id))).first).to_be_visible()
    assert dashboard.zoom.deliver(events.stopped(stream)).ok


def test_the_recording_plays_and_the_transcript_follows_it(
    page: Page, dashboard: Dashboard
) -> None:
    log_in(page, dashboard, f"/meetings/{dashboard.recorded}")
    video = page.locator("video")
    expect(page.get_by_text("Good morning, everyone.")).to_be_visible()
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert video.evaluate("video => video.duration") > 0
    second = page.get_by_text("Yes, we can hear you.")
    expect(page.locator("[aria-current=true]").filter(has=second)).to_have_count(0)
    video.evaluate("video => { video.currentTime = 1.8 }")
    expect(page.locator("[aria-current=true]").filter(has=second)).to_have_count(1)


def test_a_failed_meeting_is_retried_from_its_page(page: Page, dashboard: Dashboard) -> None:
    log_in(page, dashboard, f"/meetings/{dashboard.failed}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("pending again")).to_be_visible()


def test_everything_reads_and_works_without_javascript(
    chromium: Browser, dashboard: Dashboard
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    log_in(page, dashboard)
    page.get_by_role("link", name="Meetings", exact=True).click()
    page.get_by_role("searchbox").fill("855 5123 4567")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("row", name=re.compile("85551234567")).get_by_role("link").first.click()
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("Recall was asked")).to_be_visible()
    page.get_by_role("link", name=re.compile("transcript", re.IGNORECASE)).first.click()
    expect(page.get_by_text("Good morning, everyone.")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto(dashboard.url("/meetings"))
    expect(page.get_by_label("Password")).to_be_visible()
    context.close()


def test_nothing_is_asked_of_anybody_else(
    context: BrowserContext, page: Page, dashboard: Dashboard
) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(re.sub(r"(//[^/]+).*", r"\1", request.url)))
    log_in(page, dashboard)
    for path in paths(dashboard).values():
        if "999999" not in path:
            page.goto(dashboard.url(path))
    allowed = {dashboard.server.url, dashboard.recall.url}  # Recall's: the recording itself
    assert {one for one in asked if one.startswith("http")} <= allowed
