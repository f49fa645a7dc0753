"""The dashboard's door: who has no password sees nothing, who has none of its forms changes
nothing, and no page lets anything in from elsewhere."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app import create_app
from config import Config, ConfigError
from rtms.dashboard.auth.login import is_local_path
from rtms.dashboard.auth.sessions import DashboardSessions
from rtms.dashboard.flash import redirect_with
from rtms.services import get_services
from tests.conftest import ENVIRON
from tests.dashboard import PASSWORD, browser, csrf_token, log_in

RECALL = "http://recall.example:8001"


def make(folder: Any, **environ: str) -> Flask:
    url = f"sqlite:///{folder / 'rtms.sqlite3'}"
    return create_app(Config.from_environ({**ENVIRON, "DATABASE_URL": url, **environ}))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    made = make(tmp_path_factory.mktemp("app"), ADMIN_PASSWORD=PASSWORD, RECALL_BASE_URL=RECALL)
    yield made
    get_services(made).recall.close()
    get_services(made).database.dispose()


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A server that has no dashboard."""
    made = make(tmp_path_factory.mktemp("without"))
    yield made
    get_services(made).recall.close()
    get_services(made).database.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return log_in(app)


def rules(app: Flask) -> list[Rule]:
    found = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("dashboard.")]
    assert len(found) > 5
    return found


def path_of(rule: Rule) -> str:
    """One of a rule's addresses: of a row that is not there, as a rule."""
    return re.sub(
        r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>", lambda kind: "9" if kind[1] == "int" else "x", rule.rule
    )


def requests(app: Flask) -> list[tuple[str, str]]:
    """Every method and path that the dashboard has a rule for."""
    return sorted({(method, path_of(rule)) for rule in rules(app) for method in rule.methods or ()})


# ---- who may come in


def test_every_route_refuses_who_is_not_logged_in(app: Flask) -> None:
    asked = [(method, path) for method, path in requests(app) if path != "/login"]
    assert {method for method, _ in asked} >= {"GET", "POST", "HEAD", "OPTIONS", "DELETE"}
    for method, path in asked:
        answer = app.test_client().open(path, method=method)
        assert answer.status_code == 303, (method, path)
        assert answer.headers["Location"].startswith("/login"), (method, path)


def test_without_a_password_there_is_no_dashboard(app: Flask, without: Flask) -> None:
    unknown = without.test_client().get("/no-such-path")
    assert unknown.is_json
    for method, path in requests(app):
        answer = without.test_client().open(path, method=method)
        assert answer.status_code == 404, (method, path)
        if method != "HEAD":
            assert answer.data == unknown.data, (method, path)
        assert dict(answer.headers) == dict(unknown.headers), (method, path)


def forged(app: Flask) -> dict[str, str]:
    """Cookies that prove nothing."""
    good = log_in(app).get_cookie("rtms_session")
    assert good
    token, _, signature = good.value.rpartition(".")
    sessions = DashboardSessions()
    by_us = sessions.get_signing_serializer(app)
    sessions.salt = "something else"
    elsewhere = sessions.get_signing_serializer(app)
    assert by_us
    assert elsewhere
    said = by_us.loads(good.value)
    return {
        "nothing": "",
        "no signature": token,
        "an empty signature": f"{token}.",
        "another token": f"{'A' * len(token)}.{signature}",
        "another signature": f"{token}.{'A' * len(signature)}",
        "a letter more": f"{good.value}A",
        "never begun": str(by_us.dumps({**said, "token": "A" * 43})),
        "without a token": str(by_us.dumps({"csrf": said["csrf"]})),
        "signed for something else": str(elsewhere.dumps(said)),
        "not ASCII": "ü.ü",
        "long": "A" * 4000,
    }


def test_forged_cookies_open_nothing(app: Flask) -> None:
    for what, cookie in forged(app).items():
        answer = app.test_client().get("/", headers={"Cookie": f"rtms_session={cookie}"})
        assert answer.status_code == 303, what


def test_a_plain_cookie_does_not_stand_in_for_a_secure_one(app: Flask) -> None:
    cookie = log_in(app).get_cookie("rtms_session")
    assert cookie
    over_tls = app.test_client().get(
        "/", base_url="https://localhost", headers={"Cookie": f"rtms_session={cookie.value}"}
    )
    assert over_tls.status_code == 303


# ---- forms from elsewhere


def posts(app: Flask) -> list[tuple[str, str]]:
    changing = ("POST", "PUT", "PATCH", "DELETE")
    return [(m, path) for m, path in requests(app) if m in changing and path != "/login"]


def test_nothing_is_changed_without_the_sessions_token(app: Flask, client: FlaskClient) -> None:
    theirs = csrf_token(log_in(app).get("/"))
    mine = csrf_token(client.get("/"))
    assert theirs != mine
    wrong = (None, "", mine[:-1], "ü", theirs)
    for (method, path), token in product(posts(app), wrong):
        data = {} if token is None else {"csrf_token": token}
        answer = client.open(path, method=method, data=data)
        assert answer.status_code == 403, (method, path, data)
        assert "not sent from a page of your session" in answer.text
        assert answer.mimetype == "text/html"
    assert client.get("/").status_code == 200  # not even logged out


def test_the_token_does_not_count_in_the_address(client: FlaskClient) -> None:
    token = csrf_token(client.get("/"))
    assert client.post(f"/logout?csrf_token={token}").status_code == 403


def log_in_from(app: Flask, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = app.test_client().post("/login", data={"password": PASSWORD}, headers=named)
    return answer.status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),  # no browser
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://localhost", "Sec_Fetch_Site": "same-origin"}, 303),
        ({"Sec_Fetch_Site": "none"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost:8001"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://[broken"}, 403),
        # A balancer that adds the port, before a server that takes itself to be on plain HTTP.
        ({"Host": "a.example:443", "Origin": "https://a.example"}, 303),
        ({"Host": "a.example:80", "Origin": "https://a.example"}, 303),
        ({"Host": "a.example", "Origin": "https://a.example:443"}, 303),
        ({"Host": "A.example:443", "Origin": "https://a.example"}, 303),
        ({"Host": "[2001:db8::1]:443", "Origin": "https://[2001:db8::1]"}, 303),
        ({"Host": "[::1]:8000", "Origin": "http://[::1]:8000"}, 303),
        ({"Host": "a.example:443", "Origin": "https://evil.example"}, 403),
        ({"Host": "a.example:443", "Origin": "https://a.example:8443"}, 403),
        ({"Host": "a.example:8443", "Origin": "https://a.example"}, 403),
        ({"Host": "a.example:4430", "Origin": "https://a.example"}, 403),
        ({"Host": "a.example:443", "Origin": "ftp://a.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "http://localhost", "Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
def test_a_login_comes_from_our_own_page(app: Flask, headers: dict[str, str], status: int) -> None:
    assert log_in_from(app, **headers) == status


def test_a_proxy_may_stand_between_where_the_public_url_is_known(tmp_path: Any) -> None:
    made = make(tmp_path, ADMIN_PASSWORD=PASSWORD, PUBLIC_URL="https://rtms.example.com")
    assert log_in_from(made, Origin="https://rtms.example.com") == 303
    assert log_in_from(made, Origin="https://evil.example") == 403
    get_services(made).recall.close()
    get_services(made).database.dispose()


@pytest.mark.parametrize("host", ["rtms.example.com:443", "rtms.example.com", "10.0.0.7:8000"])
def test_a_default_port_in_the_public_url_is_no_other_origin(tmp_path: Any, host: str) -> None:
    made = make(tmp_path, ADMIN_PASSWORD=PASSWORD, PUBLIC_URL="https://rtms.example.com:443")
    assert log_in_from(made, Host=host, Origin="https://rtms.example.com") == 303
    get_services(made).recall.close()
    get_services(made).database.dispose()


# ---- below a path


@pytest.fixture
def below(tmp_path: Any) -> Iterator[Flask]:
    """A server that shares its host with other programs."""
    made = make(
        tmp_path,
        ADMIN_PASSWORD=PASSWORD,
        PUBLIC_URL="https://apps.example/rtms",
        TRUSTED_PROXIES="1",
    )
    yield made
    get_services(made).recall.close()
    get_services(made).database.dispose()


TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "Host": "apps.example"}


@pytest.mark.parametrize("login", ["/login", "/rtms/login"])
def test_no_program_beside_it_gets_the_cookie(below: Flask, login: str) -> None:
    answer = below.test_client().post(login, data={"password": PASSWORD}, headers=TLS)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/rtms/")
    name, *parts = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith("__Secure-rtms_session=")  # __Host- would ask for the whole host
    assert {"Path=/rtms", "Secure", "HttpOnly", "SameSite=Lax"} <= set(parts)


@pytest.mark.parametrize(
    "wanted",
    ["/other", "/rtmsx", "/", "/rtms/../other", "/rtms/%2e%2E/other", "/rtms/..", "/rtms/a/./b"],
)
def test_a_login_leads_to_no_program_beside_it(below: Flask, wanted: str) -> None:
    data = {"password": PASSWORD, "next": wanted}
    answer = below.test_client().post("/login", data=data, headers=TLS)
    assert answer.headers["Location"] == "/rtms/"


def test_the_path_is_not_for_a_client_to_choose(below: Flask) -> None:
    client = below.test_client()
    for name in ("X-Forwarded-Prefix", "X-Script-Name", "Script-Name"):
        answer = client.get("/", headers={**TLS, name: "//evil.example"})
        assert answer.headers["Location"] == "/rtms/login"


@pytest.mark.parametrize("path", ["meetings", "events/x", "zoom-webhook/x", "login", "assets/a/b"])
def test_a_path_that_is_a_page_of_the_servers_is_refused(tmp_path: Any, path: str) -> None:
    with pytest.raises(ConfigError, match=f"PUBLIC_URL must not have /{path.split('/')[0]} as"):
        make(tmp_path, ADMIN_PASSWORD=PASSWORD, PUBLIC_URL=f"https://apps.example/{path}")


# ---- where a login leads

ELSEWHERE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "\\\\evil.example",
    "https://evil.example", "https:evil.example", "http:/evil.example", "javascript:alert(1)",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "evil.example",
    "/ok\r\nX-Injected: yes", "/\0/evil.example", "/\u2028/evil", "//[", "", "?x", "#x", ".", "..",
]  # fmt: skip


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_a_login_leads_nowhere_else(app: Flask, client: FlaskClient, wanted: str) -> None:
    assert not is_local_path(wanted)
    answer = app.test_client().post("/login", data={"password": PASSWORD, "next": wanted})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    again = client.get("/login", query_string={"next": wanted})
    assert (again.status_code, again.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("wanted", ["/", "/meetings", "/meetings?state=failed&q=a%2Fb", "/x#y"])
def test_a_login_leads_back_to_where_one_was(app: Flask, wanted: str) -> None:
    answer = app.test_client().post("/login", data={"password": PASSWORD, "next": wanted})
    assert answer.headers["Location"] == wanted


# ---- what every answer carries


def answers(app: Flask) -> Iterator[tuple[str, TestResponse]]:
    """What every route says, to whom it knows and to whom it does not."""
    client = log_in(app)
    token = csrf_token(client.get("/"))
    for method, path in requests(app):
        yield f"{method} {path}, a stranger", app.test_client().open(path, method=method)
        if path != "/logout":
            data = {"csrf_token": token}
            yield f"{method} {path}", client.open(path, method=method, data=data)
    yield "wrong password", app.test_client().post("/login", data={"password": "x"})
    yield "forged form", client.post("/logout")
    yield "logout", client.post("/logout", data={"csrf_token": token})


def test_every_answer_has_its_headers(app: Flask) -> None:
    seen = 0
    for what, answer in answers(app):
        seen += 1
        headers = answer.headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'", what
        assert policy["script-src"] == "'self'", what
        assert re.fullmatch(r"'self' 'nonce-[\w-]{22}'", policy["style-src"]), what
        assert policy["media-src"] == f"'self' https: {RECALL}", what
        assert policy["connect-src"] == policy["form-action"] == "'self'", what
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", what
        assert "unsafe" not in headers["Content-Security-Policy"], what
        assert headers["X-Content-Type-Options"] == "nosniff", what
        assert headers["Referrer-Policy"] == "same-origin", what
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", what
        assert "camera=()" in headers["Permissions-Policy"], what
        if answer.mimetype == "text/html":
            assert headers["Cache-Control"] == "no-store", what
    assert seen > 20


def test_a_nonce_is_used_once_and_names_the_pages_own_style(app: Flask) -> None:
    nonces = set()
    for _ in range(3):
        answer = app.test_client().get("/login")
        found = re.search(r"'nonce-([\w-]+)'", answer.headers["Content-Security-Policy"])
        assert found
        nonces.add(found[1])
        assert f'<style nonce="{found[1]}">' in answer.text
    assert len(nonces) == 3


def test_a_recall_that_is_reached_over_tls_needs_no_exception(tmp_path: Any) -> None:
    made = make(tmp_path, ADMIN_PASSWORD=PASSWORD, RECALL_BASE_URL="https://us-east-1.recall.ai")
    policy = made.test_client().get("/login").headers["Content-Security-Policy"]
    assert "media-src 'self' https:;" in policy
    get_services(made).recall.close()
    get_services(made).database.dispose()


def test_no_page_has_a_style_or_a_script_of_its_own(app: Flask) -> None:
    for what, answer in answers(app):
        if answer.mimetype == "text/html":
            assert not re.search(r"<[^>]* (style|on\w+)=", answer.text), what
            assert not re.search(r"<script(?![^>]* src=\"/assets/)", answer.text), what
            assert not re.search(r"(src|href|action)=\"(https?:)?//", answer.text), what


# ---- errors


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/assets/nothing.css", 404), ("GET", "/logout", 405), ("DELETE", "/", 405)],
)
def test_an_error_is_a_page(client: FlaskClient, method: str, path: str, status: int) -> None:
    data = {"csrf_token": csrf_token(client.get("/"))}
    answer = client.open(path, method=method, data=data)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert 'href="/"' in answer.text


@pytest.mark.parametrize(
    "path", ["../auth.py", "%2e%2e/auth.py", "..%2fauth.py", "..\\auth.py", "/etc/passwd", "", "."]
)
def test_no_path_leads_out_of_the_assets(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/assets/{path}", follow_redirects=True)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_a_form_that_is_too_large_is_refused(app: Flask, client: FlaskClient) -> None:
    for asked in (browser(app), client):
        for path in ("/login", "/logout"):
            if asked is client or path == "/login":
                answer = asked.post(path, data={"csrf_token": "x" * 20_000})
                assert answer.status_code == 413, path
                assert answer.mimetype == "text/html"


def test_an_asset_may_be_kept_and_a_page_may_not(client: FlaskClient) -> None:
    page = client.get("/")
    found = re.search(r'href="(/assets/style\.css\?v=\w+)"', page.text)
    assert found
    style = client.get(found[1])
    assert style.mimetype == "text/css"
    assert "immutable" in style.headers["Cache-Control"]
    assert "private" in style.headers["Cache-Control"]
    assert page.headers["Cache-Control"] == "no-store"


# ---- messages


def test_a_message_is_shown_once_and_only_if_it_is_ours(app: Flask, client: FlaskClient) -> None:
    with app.test_request_context("/"):
        answer = redirect_with("/meetings/7", "Meeting 7 <b>waits</b> again.", "good")
        flashes = dict(session)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/meetings/7")
    with client.session_transaction() as kept:
        kept.update(flashes)
    first = client.get("/")
    assert "Meeting 7 &lt;b&gt;waits&lt;/b&gt; again." in first.text
    assert 'role="status"' in first.text
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert "waits" not in client.get("/").text
    forged = "eyJfZmxhc2hlcyI6W1siZ29vZCIsImZvcmdlZCJdXX0.aaaaaa.bbbbbbb"
    client.set_cookie("rtms_session", forged)
    assert "forged" not in client.get("/", follow_redirects=True).text


def test_the_longest_message_fits_into_a_cookie(app: Flask, client: FlaskClient) -> None:
    draw = random.Random(7)
    text = "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(10_000))
    with client.session_transaction() as kept:
        theirs = dict(kept)
    with app.test_request_context("/"):
        session.update(theirs)
        answer = redirect_with("/", text, "bad")
        app.session_interface.save_session(app, session, answer)
    name, _, rest = answer.headers["Set-Cookie"].partition("=")
    assert len(name) + len(rest.partition(";")[0]) < 4096
