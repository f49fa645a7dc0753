"""The dashboard below a path of a host that it shares with other programs, behind a proxy that
takes the path off, and behind one that leaves it on."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Dashboard, log_in_at
from tests.servers import wait_for

PATH = "/apps/rtms"
VARIABLES = {"PUBLIC_URL": f"https://apps.example{PATH}", "TRUSTED_PROXIES": "1"}
_KEPT = {"content-type", "location", "set-cookie", "cache-control", "content-security-policy"}


@dataclass
class Proxy:
    """Has the server below PATH; what is asked for elsewhere is none of its business."""

    port: int
    url: str
    strayed: list[str] = field(default_factory=list)


@pytest.fixture(params=["strips", "leaves"])
def proxy(dashboard: Dashboard, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    its_port, strips = dashboard.server.port, request.param == "strips"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not f"{self.path.partition('?')[0]}/".startswith(f"{PATH}/"):
                its.strayed.append(self.path)
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = (self.path.removeprefix(PATH) or "/") if strips else self.path
            headers = dict(self.headers) | {
                "X-Forwarded-For": "192.0.2.1",
                "X-Forwarded-Proto": "http",
                "Connection": "close",
            }
            server = http.client.HTTPConnection("127.0.0.1", its_port, timeout=20)
            server.request(self.command, path, body, headers)
            answer = server.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in _KEPT:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            server.close()

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        port = listener.server_port
        its = Proxy(port, f"http://127.0.0.1:{port}{PATH}")
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield its
        listener.shutdown()


def links(page: Page) -> set[str]:
    """Where the page's links and forms lead, on this host."""
    found = page.eval_on_selector_all(
        "a[href], form[action]", "all => all.map(each => each.href ?? each.action)"
    )
    return {link for link in found if urlsplit(link).netloc == urlsplit(page.url).netloc}


def test_every_page_and_button_works_below_a_path(
    page: Page, dashboard: Dashboard, proxy: Proxy
) -> None:
    page.goto(f"{proxy.url}/events?outcome=accepted")
    assert page.url.startswith(f"{proxy.url}/login?next=")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{proxy.url}/events?outcome=accepted")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["path"]) == ("rtms_session", PATH)

    seen = {page.url}
    for start in ("/", "/meetings", "/events", f"/meetings/{dashboard.recorded}"):
        page.goto(proxy.url + start)
        seen |= links(page)
    assert len(seen) > 50
    assert {link for link in seen if not f"{link}/".startswith(f"{proxy.url}/")} == set()

    page.goto(f"{proxy.url}/meetings/{dashboard.recorded}")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("[role=status], [role=alert]").first).to_be_visible()
    page.wait_for_url(f"{proxy.url}/meetings/{dashboard.recorded}")
    assert [each["name"] for each in page.context.cookies()] == ["rtms_session"]  # shown once

    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{proxy.url}/login")
    assert page.context.cookies() == []
    assert proxy.strayed == []


def test_the_player_and_the_transcript_load_below_a_path(
    page: Page, dashboard: Dashboard, proxy: Proxy
) -> None:
    log_in_at(page, f"{proxy.url}/meetings/{dashboard.recorded}")
    player = page.locator("video")
    wait_for(lambda: player.evaluate("video => video.readyState") >= 1, "the video")
    assert urljoin(page.url, player.get_attribute("src") or "").startswith(f"{proxy.url}/")
    assert proxy.strayed == []


def test_the_overview_that_refreshes_itself_finds_the_way_in_again(
    page: Page, dashboard: Dashboard, proxy: Proxy
) -> None:
    log_in_at(page, f"{proxy.url}/")
    page.context.clear_cookies()  # the session ends
    page.wait_for_url(f"{proxy.url}/login")
    assert proxy.strayed == []
