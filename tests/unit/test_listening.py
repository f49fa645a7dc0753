"""What the server listens on, and how it says that it is reached."""

from __future__ import annotations

from typing import Any

import pytest

from config import Config
from rtms.server.addresses import binds, how_to_reach, local_url, with_mapped
from rtms.web.path_prefix import Front
from tests.conftest import ENVIRON

NONE, APART, BOTH = frozenset[int](), frozenset({6}), frozenset({4, 6})


@pytest.mark.parametrize(
    ("host", "versions", "wanted"),
    [
        (None, BOTH, ["[::]:8000"]),
        (None, APART, ["[::]:8000", "0.0.0.0:8000"]),
        (None, NONE, ["0.0.0.0:8000"]),
        ("0.0.0.0", BOTH, ["0.0.0.0:8000"]),
        ("::", APART, ["[::]:8000"]),
        ("10.0.0.7", BOTH, ["10.0.0.7:8000"]),
        ("localhost", BOTH, ["127.0.0.1:8000", "[::1]:8000"]),
        ("localhost", NONE, ["127.0.0.1:8000"]),
    ],
)
def test_where_it_listens(host: str | None, versions: frozenset[int], wanted: list[str]) -> None:
    assert binds(host, 8000, at=lambda _: versions) == wanted


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        ([("::", 8000, 0, 0)], "http://localhost:8000"),
        ([("0.0.0.0", 8000)], "http://localhost:8000"),
        ([("10.0.0.7", 80), ("127.0.0.1", 8000)], "http://127.0.0.1:8000"),
        ([("2001:db8::1", 80, 0, 0)], "http://[2001:db8::1]:80"),
        ([("2001:db8::1", 80, 0, 0), ("::1", 81, 0, 0)], "http://[::1]:81"),
        (["/run/rtms.sock", ("127.0.0.1", 8000)], "http://127.0.0.1:8000"),
        (["/run/rtms.sock"], None),
        ([], None),
    ],
)
def test_a_person_gets_a_url_that_a_browser_takes(addresses: list[object], url: str | None) -> None:
    assert local_url(addresses) == url


def said(local: str | None, **variables: str) -> str:
    return "\n".join(how_to_reach(Config.from_environ({**ENVIRON, **variables}), local))


def test_the_server_says_where_it_is() -> None:
    local, public = "http://localhost:8000", "https://apps.example/rtms"
    plain = said(local, ADMIN_PASSWORD="correct horse")
    assert "Dashboard: http://localhost:8000/. Log in with the ADMIN_PASSWORD" in plain
    assert "Zoom needs an https address" in plain
    assert "correct horse" not in plain
    behind = said(local, ADMIN_PASSWORD="correct horse", PUBLIC_URL=public)
    assert f"Dashboard: {public}/ (on this machine: {local}/rtms/)." in behind
    assert f"Zoom's endpoint: {public}/zoom-webhook" in behind
    assert "There is no dashboard: ADMIN_PASSWORD is not set" in said(local)
    assert said(None) == ""


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [
        ("127.0.0.1,::1", "127.0.0.1,::1,::ffff:127.0.0.1/128"),
        ("10.0.0.0/8 , *", "10.0.0.0/8,*,::ffff:10.0.0.0/104"),
        ("", ""),
    ],
)
def test_a_proxy_is_trusted_by_either_form_of_its_address(allowed: str, wanted: str) -> None:
    assert with_mapped(allowed) == wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_a_client_on_ipv4_has_an_ipv4_address(address: str, wanted: str) -> None:
    seen: dict[str, Any] = {}
    Front(lambda environ, _: seen.update(environ) or [], "")({"REMOTE_ADDR": address}, None)
    assert seen["REMOTE_ADDR"] == wanted
