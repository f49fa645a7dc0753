"""What goes wrong in the dashboard: a page for a browser, JSON for whoever else asks."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from rtms.dashboard.meetings import search
from rtms.db.errors import DatabaseUnavailable
from rtms.services import Services
from tests.dashboard import PASSWORD, browser, csrf_token, log_in
from tests.databases import on_one_engine
from tests.integration.conftest import Zoom
from tests.integration.test_dashboard_meetings import put

pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)

ACCEPTS = {
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html",
    "Text/HTML": "text/html",
    "application/json": "application/json",
    "application/json,text/html;q=0.5": "application/json",
    "text/html;q=0": "application/json",
    "*/*": "application/json",
    "": "application/json",
}

FAULTS: dict[str, tuple[int, str, str]] = {
    "no day": (400, "GET", "/meetings?day=x"),
    "no outcome": (400, "GET", "/events?outcome=x"),
    "a form of nobody's": (403, "POST", "/meetings/1/retry"),
    "a wrong password": (403, "POST", "/login"),
    "no such meeting": (404, "GET", "/meetings/9"),
    "no such event": (404, "GET", "/events/9"),
    "no such recording": (404, "GET", "/recordings/9/video_mixed"),
    "no transcript": (404, "GET", "/meetings/1/transcript"),
    "no such asset": (404, "GET", "/assets/nothing.css"),
    "no number": (404, "GET", "/meetings/x"),
    "an unknown path": (404, "GET", "/no/such/path"),
    "an unknown path, posted to": (404, "POST", "/meetings/1/erase"),
    "a slash too many": (404, "GET", "/meetings/"),
    "another method": (405, "GET", "/meetings/1/retry"),
}


def is_page(answer: Any) -> bool:
    """Whether an answer is a page, protected like all of them; else it is JSON."""
    assert "Accept" in answer.headers["Vary"]
    if answer.mimetype == "text/html":
        assert "<h1" in answer.text
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        return True
    assert list(answer.json) == ["error"]
    assert "<" not in answer.json["error"]
    return False


@on_one_engine
@pytest.mark.parametrize("fault", FAULTS)
def test_a_browser_is_shown_a_page_and_a_program_is_told_in_json(
    app: Flask, services: Services, fault: str
) -> None:
    put(services, {})
    status, method, path = FAULTS[fault]
    client = log_in(app)
    page = client.open(path, method=method)
    assert (page.status_code, is_page(page)) == (status, True)
    told = client.open(path, method=method, headers={"Accept": "application/json"})
    assert (told.status_code, is_page(told)) == (status, False)


@on_one_engine
@pytest.mark.parametrize(("accept", "mimetype"), ACCEPTS.items())
def test_who_asks_for_html_is_a_browser(app: Flask, accept: str, mimetype: str) -> None:
    answer = log_in(app).get("/meetings/9", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (404, mimetype)


def test_a_form_that_is_too_large(app: Flask) -> None:
    client = log_in(app)
    for accept, expected in (("text/html", True), ("*/*", False)):
        answer = client.post("/logout", data={"x": "x" * 20_000}, headers={"Accept": accept})
        assert (answer.status_code, is_page(answer)) == (413, expected)


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("a bug"), 500), (DatabaseUnavailable("secret words"), 503)]
)
def test_what_breaks_inside(
    app: Flask, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """Forced, because no request is known that breaks anything."""

    def break_down(*_: Any) -> None:
        raise error

    client = log_in(app)
    monkeypatch.setattr(search, "find", break_down)
    for accept, expected in (("text/html", True), ("*/*", False)):
        answer = client.get("/meetings", headers={"Accept": accept})
        assert (answer.status_code, is_page(answer)) == (status, expected)
        assert str(error) not in answer.text


def test_an_unknown_path_has_the_pages_of_who_is_logged_in(app: Flask) -> None:
    stranger, operator = browser(app).get("/x"), log_in(app).get("/x")
    assert 'aria-label="Pages"' in operator.text
    assert 'aria-label="Pages"' not in stranger.text
    assert "Go to the login" in stranger.text
    assert stranger.headers["Cache-Control"] == "no-store"


def test_an_unknown_path_needs_no_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise DatabaseUnavailable("away")

    client = log_in(app)
    monkeypatch.setattr("rtms.db.database.Database.read", away)
    assert client.get("/x").status_code == 404


def test_an_unknown_path_leaves_a_notice_to_its_page(app: Flask, services: Services) -> None:
    put(services, {"state": "failed", "reason": "refused"})
    client: FlaskClient = log_in(app)
    token = csrf_token(client.get("/meetings/1"))
    assert client.post("/meetings/1/retry", data={"csrf_token": token}).status_code == 303
    assert "pending again" not in client.get("/favicon.ico").text
    assert "pending again" in client.get("/meetings/1").text


def test_what_zoom_and_machines_ask_is_answered_in_json(app: Flask, zoom: Zoom) -> None:
    client = browser(app)
    for answer in (
        client.get("/zoom-webhook"),
        client.post("/recall-webhook"),
        client.post("/zoom-webhook", data="{}"),
        zoom.deliver({"event": 1}, headers={"Accept": "text/html"}),
    ):
        assert answer.status_code in (400, 401, 404, 405)
        assert answer.is_json


@pytest.mark.environ(ADMIN_PASSWORD="")
def test_without_a_dashboard_everything_is_json(app: Flask) -> None:
    answer = browser(app).get("/")
    assert (answer.status_code, answer.is_json) == (404, True)
