"""A user installs the app at /install: the state, the code, and the tokens that are kept."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from models import ZOOM_USERS
from rtms import clock
from rtms.services import Services
from rtms.web import installation
from sandbox import ZoomApiSandbox, events
from sandbox.zoom_tokens import ZoomUser
from tests.conftest import ENVIRON, load
from tests.integration.conftest import Zoom

CALLBACK = "/oauth-callback/zoom"
KEY = Fernet.generate_key().decode()
PUBLIC = "https://rtms.example.com/below"
REDIRECT = PUBLIC + CALLBACK


@pytest.fixture
def environ(environ: dict[str, str], zoom_api: ZoomApiSandbox) -> dict[str, str]:
    addresses = {name: zoom_api.environ[name] for name in ("ZOOM_API_URL", "ZOOM_OAUTH_URL")}
    return {**addresses, "TOKEN_ENCRYPTION_KEY": KEY, "PUBLIC_URL": PUBLIC, **environ}


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def users(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(ZOOM_USERS).order_by(ZOOM_USERS.c.id)))


def get(browser: FlaskClient, path: str, **query: str) -> TestResponse:
    return browser.get(path, base_url="https://rtms.example.com/", query_string=query)


def begin(browser: FlaskClient) -> str:
    """Open /install, and return the state."""
    location = get(browser, "/below/install").headers["Location"]
    return parse_qs(urlsplit(location).query)["state"][0]


def come_back(browser: FlaskClient, **query: str) -> TestResponse:
    return get(browser, f"/below{CALLBACK}", **query)


def test_the_user_is_sent_to_zoom_with_a_state_that_only_this_browser_has(
    browser: FlaskClient, zoom_api: ZoomApiSandbox
) -> None:
    answer = get(browser, "/below/install")
    assert answer.status_code == 302
    url = urlsplit(answer.headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{zoom_api.oauth_url}/authorize"
    query = parse_qs(url.query)
    state = query.pop("state")[0]
    assert query == {
        "response_type": ["code"],
        "client_id": [ENVIRON["ZOOM_CLIENT_ID"]],
        "redirect_uri": [REDIRECT],
    }
    assert len(state) >= 43
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Secure-rtms_install={state};")
    wanted = ("Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600", f"Path=/below{CALLBACK}")
    for each in wanted:
        assert f"; {each}" in cookie
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert begin(browser) != state


@pytest.mark.environ(PUBLIC_URL="http://localhost:8000")
def test_without_tls_the_cookie_is_not_limited_to_it(app: Flask) -> None:
    cookie = app.test_client().get("/install").headers["Set-Cookie"]
    assert cookie.startswith("rtms_install=")
    assert "Secure" not in cookie


@pytest.mark.parametrize(
    "missing", [pytest.param(name, marks=pytest.mark.environ(**{name: ""}))
                for name in ("TOKEN_ENCRYPTION_KEY", "PUBLIC_URL")]
)  # fmt: skip
def test_without_a_key_or_an_address_it_is_not_offered(app: Flask, missing: str) -> None:
    answer = app.test_client().get("/install")
    assert answer.status_code == 404
    assert "cannot be installed here" in answer.text
    assert missing in answer.text
    assert "Set-Cookie" not in answer.headers


def test_the_tokens_of_a_user_who_allows_the_app_are_kept_encrypted(
    browser: FlaskClient,
    services: Services,
    zoom_api: ZoomApiSandbox,
) -> None:
    user = ZoomUser()
    state, code = begin(browser), zoom_api.tokens.grant_code(user, REDIRECT)
    with capture_logs() as lines:
        answer = come_back(browser, state=state, code=code)
    assert (answer.status_code, "The app is installed" in answer.text) == (200, True)
    (row,) = users(services)
    assert (row.zoom_user_id, row.account_id) == (user.id, user.account_id)
    assert not row.must_install_again
    assert (row.expires_at - row.installed_at).total_seconds() == pytest.approx(3600, abs=60)
    (token,) = zoom_api.tokens.issued
    assert Fernet(KEY).decrypt(row.access_token).decode() == token
    shown = str(row) + answer.text + str(answer.headers) + str(lines)
    for secret in (token, code, state, Fernet(KEY).decrypt(row.refresh_token).decode()):
        assert secret not in shown
    assert user.email not in str(row)


def test_a_user_who_installs_it_again_has_one_row_with_the_newer_tokens(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    user = ZoomUser()
    for _ in range(2):
        code = zoom_api.tokens.grant_code(user, REDIRECT)
        come_back(browser, state=begin(browser), code=code)
    (row,) = users(services)
    assert Fernet(KEY).decrypt(row.access_token).decode() == zoom_api.tokens.issued[-1]


def test_a_callback_counts_once(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    code = zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    state = begin(browser)
    come_back(browser, state=state, code=code)
    asked = len(zoom_api.ledger)
    again = come_back(browser, state=state, code=code)
    assert (again.status_code, "not completed" in again.text) == (400, True)
    assert len(zoom_api.ledger) == asked
    assert len(users(services)) == 1


@pytest.mark.parametrize("state", ["another", "", "ü\0", "x" * 3000])
def test_a_wrong_state_is_told_and_zoom_is_not_asked(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox, state: str
) -> None:
    code = zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    begin(browser)
    answer = come_back(browser, state=state, code=code)
    assert answer.status_code == (400 if state else 200)  # without: begun at Zoom
    assert code not in answer.text
    assert zoom_api.ledger == []
    assert users(services) == []


def test_a_state_of_another_browser_is_refused(
    app: Flask, browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    state, code = begin(app.test_client()), zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    assert come_back(browser, state=state, code=code).status_code == 400
    begin(browser)
    assert come_back(browser, state=state, code=code).status_code == 400
    assert zoom_api.ledger == []
    assert users(services) == []


def test_an_installation_begun_at_zoom_is_told_and_its_code_not_used(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    answer = come_back(browser, code=zoom_api.tokens.grant_code(ZoomUser(), REDIRECT))
    assert answer.status_code == 200
    assert 'href="/below/install"' in answer.text
    assert zoom_api.ledger == []
    assert users(services) == []


def test_a_user_who_declines_ends_the_installation(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox
) -> None:
    state = begin(browser)
    answer = come_back(browser, state=state, error="access_denied")
    assert "was cancelled" in answer.text
    code = zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    assert come_back(browser, state=state, code=code).status_code == 400
    assert users(services) == []


@pytest.mark.parametrize("method", ["POST", "GET"])  # the token, and whose it is
@pytest.mark.parametrize("kind", ["firewall", "hang", "reset_before", "not_json"])
def test_zoom_in_trouble_is_told_and_nothing_is_stored(
    browser: FlaskClient,
    services: Services,
    zoom_api: ZoomApiSandbox,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    method: str,
) -> None:
    monkeypatch.setattr(installation, "_TIMEOUT", 0.2)
    zoom_api.add_fault(kind, method=method)
    code = zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    with capture_logs() as lines:
        answer = come_back(browser, state=begin(browser), code=code)
    assert (answer.status_code, "not completed" in answer.text) == (502, True)
    assert users(services) == []
    assert "the app was not installed" in str(lines)
    assert code not in answer.text + str(lines)


def test_a_code_that_zoom_refuses_is_told(browser: FlaskClient, services: Services) -> None:
    with capture_logs() as lines:
        answer = come_back(browser, state=begin(browser), code="a-code-of-nobody")
    assert answer.status_code == 502
    assert "install the app again" in str(lines)
    assert "a-code-of-nobody" not in answer.text + str(lines)
    assert users(services) == []


@pytest.mark.parametrize("retention", ["true", "false"])
def test_a_user_who_removes_the_app_has_no_tokens_here_any_more(
    browser: FlaskClient, services: Services, zoom: Zoom, zoom_api: ZoomApiSandbox, retention: str
) -> None:
    users_of_zoom = [ZoomUser(), ZoomUser()]
    for user in users_of_zoom:
        code = zoom_api.tokens.grant_code(user, REDIRECT)
        come_back(browser, state=begin(browser), code=code)
    body = load("app_deauthorized__as_published")
    body["event_ts"] = events.now_ms()
    body["payload"] |= {"user_id": users_of_zoom[0].id, "user_data_retention": retention}
    body["payload"]["deauthorization_time"] = f"{clock.now():%Y-%m-%dT%H:%M:%S}.000Z"
    assert zoom.deliver(body).status_code == 200
    assert [row.zoom_user_id for row in users(services)] == [users_of_zoom[1].id]


def test_an_old_deauthorization_leaves_a_later_installation(
    browser: FlaskClient, services: Services, zoom: Zoom, zoom_api: ZoomApiSandbox
) -> None:
    user = ZoomUser()
    code = zoom_api.tokens.grant_code(user, REDIRECT)
    come_back(browser, state=begin(browser), code=code)
    body = load("app_deauthorized__as_published")
    body["event_ts"] = events.now_ms()
    body["payload"] |= {
        "user_id": user.id,
        "deauthorization_time": f"{clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.000Z",
    }
    assert zoom.deliver(body).status_code == 200
    assert len(users(services)) == 1


def test_the_list_of_users_says_who_is_installed_and_an_erasure_deletes_the_tokens(
    browser: FlaskClient, services: Services, zoom_api: ZoomApiSandbox, runner: FlaskCliRunner
) -> None:
    user = ZoomUser()
    code = zoom_api.tokens.grant_code(user, REDIRECT)
    come_back(browser, state=begin(browser), code=code)
    (row,) = json.loads(runner.invoke(args=["users", "list", "--json"]).stdout)
    assert (row["user_id"], row["must_install_again"]) == (user.id, False)
    assert row["installed_at"]
    assert "token" not in str(row)
    assert user.id in runner.invoke(args=["users", "list"]).stdout
    assert runner.invoke(args=["users", "erase", user.id, "--yes"]).exit_code == 0
    assert users(services) == []
