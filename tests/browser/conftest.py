"""A real server with a day behind it, and a browser in front of it.

`CHROMIUM` names the browser. `SCREENSHOTS` names a folder for pictures of the pages (`make
screenshots`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from config import Config
from rtms.db import migrate
from rtms.db.database import Database
from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.browser.past import lengthen, put_in_a_day
from tests.conftest import ENVIRON
from tests.servers import Server, a_server, wait_for

CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
PASSWORD = "the operator's password, of the tests"


@pytest.fixture(scope="module")  # Playwright's event loop must not be there for other tests
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no browser at {CHROMIUM}: install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Dashboard:
    """A server's pages, and who speaks to it."""

    server: Server
    zoom: ZoomSandbox
    recall: RecallSandbox
    recorded: int  # the row of a meeting whose recording is done
    failed: int  # the row of one that Recall refused

    def url(self, path: str) -> str:
        return self.server.url + path


@pytest.fixture(scope="module")
def dashboard(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Dashboard]:
    """A server with a day of meetings, and one that has just been recorded. A module of tests may
    have VARIABLES of its own for it."""
    with (
        tempfile.TemporaryDirectory(prefix="browser-") as folder,
        RecallSandbox(
            api_key=ENVIRON["RECALL_API_KEY"],
            client_id=ENVIRON["ZOOM_CLIENT_ID"],
            client_secret=ENVIRON["ZOOM_CLIENT_SECRET"],
        ) as recall,
    ):
        environ = {
            **ENVIRON,
            "DATABASE_URL": f"sqlite:///{folder}/rtms.sqlite3",
            "RECALL_BASE_URL": recall.url,
            "ADMIN_PASSWORD": PASSWORD,
            **getattr(request.module, "VARIABLES", {}),
        }
        database = Database(Config.from_environ(environ).database_url)
        migrate.upgrade(database)
        failed = put_in_a_day(database)
        with a_server(environ, Path(folder) / "server.log") as server:
            server.start()
            endpoint = f"{server.url}/zoom-webhook"
            with ZoomSandbox(endpoint, ENVIRON["ZOOM_SECRET_TOKEN"], timeout=20) as zoom:
                recorded = _record(server, zoom, recall)
                lengthen(database, recorded, timedelta(seconds=24))
                database.dispose()
                yield Dashboard(server, zoom, recall, recorded, failed)


def _record(server: Server, zoom: ZoomSandbox, recall: RecallSandbox) -> int:
    """Let a meeting start, be interrupted and end; returns its row once the recording is done."""
    stream = Stream(meeting_id=85551234567)
    assert zoom.deliver(events.meeting_started(stream)).ok
    assert zoom.deliver(events.started(stream)).ok

    def state(wanted: str) -> int:
        (row,) = (r for r in server.meetings() if r["rtms_stream_id"] == stream.rtms_stream_id)
        return int(row["id"]) if row["state"] == wanted else 0

    wait_for(lambda: state("connected"), "the meeting to be connected")
    assert zoom.deliver(events.interrupted(stream)).ok
    recall.end_stream(stream.rtms_stream_id)
    assert zoom.deliver(events.stopped(stream)).ok

    def recorded() -> int:
        server.flask("meetings", "refresh", str(state("ended") or state("done")))
        return state("done")

    return int(wait_for(recorded, "the recording to be done"))


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(20_000)  # milliseconds, on a loaded machine
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """An empty page; whatever the browser complains of in it fails the test."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None,
    )
    yield page
    assert complaints == []


def log_in(page: Page, dashboard: Dashboard, path: str = "/") -> None:
    """Give the password, and go to a page."""
    log_in_at(page, dashboard.url(path))


def log_in_at(page: Page, url: str) -> None:
    """Give the password, and go to a page, by its whole address."""
    page.goto(url)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(url)
