"""Logging in and out of the dashboard, and what happens when it cannot be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.http import parse_date
from werkzeug.test import TestResponse

from app import create_app
from models import ADMIN_SESSIONS, LOGIN_FAILURES
from rtms import clock
from rtms.dashboard.auth import throttle
from rtms.db.engines import sqlite_path
from rtms.services import Services, get_services
from tests.dashboard import PASSWORD, browser, csrf_token, log_in
from tests.databases import on_one_engine

pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)


@pytest.fixture
def another(app: Flask) -> Iterator[Callable[..., Flask]]:
    """Other processes with the same database, which may be configured otherwise."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        made.append(create_app(replace(get_services(app).config, **changes)))
        return made[-1]

    yield make
    for each in made:
        get_services(each).recall.close()
        get_services(each).database.dispose()


def guess(app: Flask, password: str = "a guess", **more: Any) -> TestResponse:
    return browser(app).post("/login", data={"password": password}, **more)


def from_address(address: str) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": address}}


def sessions(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(ADMIN_SESSIONS)))


def failures(services: Services) -> dict[str, int]:
    with services.database.read() as connection:
        found = connection.execute(sa.select(LOGIN_FAILURES.c.address, LOGIN_FAILURES.c.failures))
        return {row.address: row.failures for row in found}


def pass_time(services: Services, **span: float) -> None:
    """Let what was written down be so much older."""
    by = timedelta(**span)
    with services.database.read() as connection:
        counted = connection.execute(sa.select(LOGIN_FAILURES)).all()

    def shift(connection: sa.Connection) -> None:
        for row in counted:
            connection.execute(
                LOGIN_FAILURES.update()
                .where(LOGIN_FAILURES.c.address == row.address)
                .values(last_failed_at=row.last_failed_at - by)
            )

    services.database.write(shift)


# ---- in and out


def test_the_password_opens_the_dashboard(app: Flask, services: Services) -> None:
    client = app.test_client()
    asked = client.get("/meetings?state=failed")
    assert asked.status_code == 303
    assert asked.headers["Location"] == "/login?next=/meetings%3Fstate%3Dfailed"
    form = client.get(asked.headers["Location"])
    assert form.status_code == 200
    assert 'name="next" value="/meetings?state=failed"' in form.text
    answer = client.post("/login", data={"password": PASSWORD, "next": "/meetings?state=failed"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/meetings?state=failed")
    assert client.get("/").status_code == 200
    (row,) = sessions(services)
    assert row.expires_at - row.created_at == timedelta(hours=12)


def test_the_table_does_not_say_what_the_cookie_says(app: Flask, services: Services) -> None:
    client = log_in(app)
    cookie = client.get_cookie("rtms_session")
    assert cookie
    (row,) = sessions(services)
    said = app.session_interface.get_signing_serializer(app).loads(cookie.value)  # type: ignore[attr-defined]
    assert row.token_hash not in str(said)
    assert row.token_hash == sha256(said["token"].encode()).hexdigest()


def test_only_a_login_sets_a_cookie(app: Flask) -> None:
    client = browser(app)
    for path in ("/", "/login", "/meetings", "/no-such-path", "/healthz", "/metrics"):
        assert "Set-Cookie" not in client.get(path).headers, path
    client = log_in(app)
    for path in ("/", "/login", "/meetings", "/no-such-path", "/healthz", "/metrics"):
        assert "Set-Cookie" not in client.get(path).headers, path


@pytest.mark.parametrize("path", ["/zoom-webhook", "/recall-webhook", "/zoom-webhook/"])
def test_a_delivery_has_no_session(app: Flask, path: str) -> None:
    cookie = log_in(app).get_cookie("rtms_session")
    assert cookie
    headers = {"Cookie": f"rtms_session={cookie.value}"}
    with app.test_request_context(path, method="POST", headers=headers):
        assert "token" not in session
    answer = app.test_client().post(path, data=b"{}", headers=headers)
    assert answer.status_code in (400, 401, 404)
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.vary


def test_the_cookie_is_for_this_server_only(app: Flask) -> None:
    plain = guess(app, PASSWORD).headers["Set-Cookie"]
    assert plain.startswith("rtms_session=")
    parts = plain.split("; ")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(parts)
    (expires,) = (parse_date(p.removeprefix("Expires=")) for p in parts if "Expires=" in p)
    assert expires
    assert timedelta(hours=11.9) < expires - clock.now() <= timedelta(hours=12)
    assert "Secure" not in plain
    secure = guess(app, PASSWORD, base_url="https://localhost").headers["Set-Cookie"]
    assert secure.startswith("__Host-rtms_session=")
    assert "Secure" in secure.split("; ")
    assert "Domain" not in secure


@on_one_engine
@pytest.mark.parametrize(
    "password", ["wrong", "", PASSWORD + " ", PASSWORD.upper(), "\0", "ü" * 99]
)
def test_any_other_password_does_not(app: Flask, services: Services, password: str) -> None:
    answer = guess(app, password)
    assert answer.status_code == 403
    assert "The password is wrong." in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not sessions(services)


@pytest.mark.environ(ADMIN_PASSWORD="Grüße, 世界 🎥 – ¿listo?")
def test_a_password_may_be_of_any_letters(app: Flask) -> None:
    assert guess(app, "Grusse, ?? ? - ?listo?").status_code == 403
    assert log_in(app, "Grüße, 世界 🎥 – ¿listo?").get("/").status_code == 200


def test_bytes_that_are_no_text_are_a_wrong_password(app: Flask) -> None:
    answer = app.test_client().post(
        "/login",
        data=b"password=%ff%fe%00%ed%a0%80",
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 403


def test_who_is_logged_in_needs_no_form(app: Flask) -> None:
    answer = log_in(app).get("/login?next=/events")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/events")


def test_logging_out_makes_the_cookie_worthless(app: Flask, services: Services) -> None:
    client = log_in(app)
    cookie = client.get_cookie("rtms_session")
    assert cookie
    answer = client.post("/logout", data={"csrf_token": csrf_token(client.get("/"))})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert not client.get_cookie("rtms_session")
    assert not sessions(services)
    client.set_cookie("rtms_session", cookie.value)
    assert client.get("/").headers["Location"] == "/login"


def test_logging_out_ends_no_other_session(app: Flask) -> None:
    mine, theirs = log_in(app), log_in(app)
    mine.post("/logout", data={"csrf_token": csrf_token(mine.get("/"))})
    assert mine.get("/").status_code == 303
    assert theirs.get("/").status_code == 200


@on_one_engine
@pytest.mark.parametrize("path", ["/login", "/", "/meetings", "/events", "/assets/style.css"])
def test_a_query_that_is_no_text_is_refused(app: Flask, path: str) -> None:
    for client in (app.test_client(), log_in(app)):
        answer = client.get(path, environ_overrides={"QUERY_STRING": "q=\xb6"})
        assert answer.status_code == 400
        assert "is not UTF-8" in answer.text


def test_a_session_expires_and_the_next_login_clears_it_away(
    app: Flask, services: Services
) -> None:
    client = log_in(app)
    past = {"expires_at": clock.now() - timedelta(seconds=1)}
    services.database.write(lambda c: c.execute(ADMIN_SESSIONS.update().values(past)))
    assert client.get("/").status_code == 303
    log_in(app)
    assert len(sessions(services)) == 1


def test_every_process_knows_the_session(app: Flask, another: Callable[..., Flask]) -> None:
    assert shown_by(another(), log_in(app)) == 200


def test_a_new_password_logs_everybody_out(app: Flask, another: Callable[..., Flask]) -> None:
    assert shown_by(another(admin_password="another password"), log_in(app)) == 303


def test_another_secret_of_zooms_logs_everybody_out(
    app: Flask, another: Callable[..., Flask]
) -> None:
    assert shown_by(another(zoom_client_secret="another secret"), log_in(app)) == 303


def shown_by(app: Flask, client: FlaskClient) -> int:
    cookie = client.get_cookie("rtms_session")
    assert cookie
    other = app.test_client()
    other.set_cookie("rtms_session", cookie.value)
    return other.get("/").status_code


def test_the_log_says_who_and_never_the_password(app: Flask) -> None:
    with capture_logs() as lines:
        guess(app, "Sesame-open-17", **from_address("203.0.113.9"))
        guess(app, PASSWORD, **from_address("203.0.113.10"))
    told = [(line["event"], line["log_level"], line["remote"]) for line in lines]
    assert told == [
        ("dashboard: a wrong password", "warning", "203.0.113.9"),
        ("dashboard: logged in", "info", "203.0.113.10"),
    ]
    assert "Sesame-open-17" not in str(lines)
    assert PASSWORD not in str(lines)


# ---- guessing


def test_after_five_wrong_passwords_the_next_one_waits(app: Flask, services: Services) -> None:
    assert [guess(app).status_code for _ in range(5)] == [403] * 5
    refused = guess(app)
    assert refused.status_code == 429
    assert 25 <= int(refused.headers["Retry-After"]) <= 30
    assert "Try again in" in refused.text
    assert failures(services) == {"127.0.0.1": 5}  # what is refused is not counted


def test_the_right_password_must_wait_as_well(app: Flask, services: Services) -> None:
    for _ in range(5):
        guess(app)
    assert guess(app, PASSWORD).status_code == 429
    assert not sessions(services)
    pass_time(services, seconds=31)
    assert guess(app, PASSWORD).status_code == 303
    assert failures(services) == {}


def test_the_wait_doubles_up_to_a_quarter_of_an_hour(app: Flask, services: Services) -> None:
    for _ in range(5):
        guess(app)
    waits = []
    for _ in range(7):
        waits.append(int(guess(app).headers["Retry-After"]))
        pass_time(services, seconds=waits[-1] + 1)
        assert guess(app).status_code == 403
    assert waits == pytest.approx([30, 60, 120, 240, 480, 900, 900], abs=5)


def test_an_hour_later_all_is_forgotten(app: Flask, services: Services) -> None:
    for _ in range(5):
        guess(app)
    pass_time(services, minutes=60)
    assert [guess(app).status_code for _ in range(5)] == [403] * 5
    assert failures(services) == {"127.0.0.1": 5}
    pass_time(services, minutes=60)
    guess(app, **from_address("203.0.113.9"))
    assert failures(services) == {"203.0.113.9": 1}  # and is not kept


def test_a_clock_that_was_set_back_keeps_nobody_waiting(app: Flask, services: Services) -> None:
    for _ in range(5):
        guess(app)
    pass_time(services, days=-1)
    assert guess(app, PASSWORD).status_code == 303


def test_a_thousand_guesses_at_two_processes_get_no_further(
    app: Flask, services: Services, another: Callable[..., Flask]
) -> None:
    apps = [app, another()]
    together = threading.Barrier(8)

    def attack(number: int) -> list[int]:
        together.wait(timeout=30)
        return [guess(apps[number % 2]).status_code for _ in range(125)]

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for each in pool.map(attack, range(8)) for status in each]
    assert len(statuses) == 1000
    # Five, and one more for each wait that was over before the attack was.
    took = timedelta(seconds=time.monotonic() - started)
    allowed = 5 + sum(1 for n in range(5, 9) if took >= throttle.wait_after(n))
    assert statuses.count(403) <= allowed
    assert set(statuses) <= {403, 429, 503}  # 503: more than two seconds in the writers' queue
    assert failures(services)["127.0.0.1"] <= allowed


def test_other_addresses_and_who_is_in_are_not_affected(app: Flask) -> None:
    client = log_in(app)
    for _ in range(6):
        guess(app)
    assert client.get("/").status_code == 200
    assert guess(app, PASSWORD, **from_address("203.0.113.9")).status_code == 303


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1:2::1]:4711", "2001:db8:1::/48"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1::/48"),
        ("2001:db8:2::1", "2001:db8:2::/48"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/48"),
        ("no address", "unknown"),
        ("", "local"),
        (None, "local"),
    ],
)
def test_whose_failures_are_counted_together(remote: str | None, address: str) -> None:
    assert throttle.address_of(remote) == address


def test_one_network_is_one_guesser(app: Flask) -> None:
    for number in range(5):
        assert guess(app, **from_address(f"2001:db8:1:2::{number}")).status_code == 403
    assert guess(app, **from_address("2001:db8:1:2:ffff::1")).status_code == 429
    assert guess(app, **from_address("2001:db8:2::1")).status_code == 403


def test_two_machines_whose_clocks_differ_forget_nothing(services: Services) -> None:
    now, ahead = clock.now(), clock.now() + timedelta(minutes=1)

    def guess_at(at: datetime) -> bool:
        return services.database.write(lambda c: throttle.count_try(c, "203.0.113.9", now=at))

    let_through = [guess_at(at) for at in [now, ahead] * 20]
    assert sum(let_through) == throttle.FREE_TRIES + 1  # one that has waited, by the other's clock


# ---- when the database is unreachable


@pytest.fixture
def take_away(services: Services, request: pytest.FixtureRequest) -> Callable[[], None]:
    def take() -> None:
        services.database.dispose()
        url = services.database.url
        if services.database.is_sqlite:
            path = sqlite_path(url)
            for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                each.unlink(missing_ok=True)
            path.write_bytes(b"This is no database." * 400)
            return
        request.getfixturevalue("postgres").psql(
            f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false;'
        )

    return take


def test_without_a_database_a_page_says_what_to_check(
    app: Flask, take_away: Callable[[], None]
) -> None:
    client = log_in(app)
    take_away()
    with capture_logs() as lines:
        answers = (client.get("/"), client.get("/login"), guess(app, PASSWORD))
    for answer in answers:
        assert answer.status_code == 503
        assert answer.mimetype == "text/html"
        assert int(answer.headers["Retry-After"]) > 0
        for words in (
            "The database is unreachable",
            "503",
            "flask db current",
            "DATABASE_URL",
        ):
            assert words in answer.text
        assert "/assets/style.css" not in answer.text  # nobody is let in to fetch it
    assert [line["event"] for line in lines] == ["dashboard: the database is unreachable"] * 3
    assert all(line["error"] and line["error"] not in answers[0].text for line in lines)


def test_without_a_database_the_form_can_still_be_seen(
    app: Flask, take_away: Callable[[], None]
) -> None:
    take_away()
    assert app.test_client().get("/login").status_code == 200
