"""The player of a meeting's page: what it says when it cannot play, and only then."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Dashboard, log_in

LOADS = 5
_LOADED = """video => video.readyState >= 1 || new Promise(
    resolve => video.addEventListener("loadedmetadata", () => resolve(true), {once: true}))"""
# `load` has begun to choose what to load: the state in which nothing seems to be there to load.
_EXPLAIN_WHILE_CHOOSING = """() => {
    const video = document.querySelector("video");
    video.load();
    const state = video.networkState;
    explain(video);
    return state;
}"""


def test_a_video_that_plays_has_no_error_beside_it(page: Page, dashboard: Dashboard) -> None:
    path = f"/meetings/{dashboard.recorded}"
    log_in(page, dashboard, path)
    trouble = page.locator(".trouble")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for number in range(LOADS):
        page.goto(dashboard.url(path), wait_until="domcontentloaded")
        page.locator("video").evaluate(_LOADED)
        assert trouble.is_hidden(), f"load {number + 1}: {trouble.text_content()}"
    assert page.evaluate(_EXPLAIN_WHILE_CHOOSING) == 3
    page.locator("video").evaluate(_LOADED)
    assert trouble.is_hidden()
    assert [url for url in asked if url.endswith("/why")] == []


def test_a_video_that_cannot_play_says_so_until_it_plays(page: Page, dashboard: Dashboard) -> None:
    path = f"/meetings/{dashboard.recorded}"
    page.route("**/recordings/*/video_mixed", lambda route: route.fulfill(body="no video"))
    log_in(page, dashboard, path)
    expect(page.get_by_text("this browser could not play it")).to_be_visible()
    page.unroute_all()
    page.locator("video").evaluate("v => { v.muted = true; v.load(); return v.play(); }")
    expect(page.locator(".trouble")).to_be_hidden()
