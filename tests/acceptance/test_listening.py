"""The real server on IPv4 and IPv6, with nothing but its configuration to go by."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from rtms.server import addresses
from sandbox import RecallSandbox
from tests.conftest import ENVIRON
from tests.servers import Server, a_server, wait_for

PASSWORD = "correct horse battery staple"
HAS_IPV6 = bool(addresses.versions_at("::1"))
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")


@contextmanager
def listening_at(tmp_path: Path, **variables: str) -> Iterator[Server]:
    environ = {
        **ENVIRON,
        "DATABASE_URL": f"sqlite:///{tmp_path}/rtms.sqlite3",
        "ADMIN_PASSWORD": PASSWORD,
        "WEB_CONCURRENCY": "1",
        **variables,
    }
    with a_server(environ, tmp_path / "server.log") as server:
        server.start(ready=False, bind=False)
        wait_for(lambda: "Worker ready" in server.log(), lambda: f"the server:\n{server.log()}")
        yield server


def takes_calls(host: str, port: int) -> bool:
    try:
        return requests.get(f"http://{host}:{port}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As `make run` starts it."""
    with listening_at(tmp_path_factory.mktemp("listening")) as server:
        yield server


HOSTS = ["127.0.0.1", "localhost", pytest.param("[::1]", marks=needs_ipv6)]


@pytest.mark.parametrize("host", HOSTS)
def test_somebody_logs_in_over_plain_http(server: Server, host: str) -> None:
    root = f"http://{host}:{server.port}"
    with requests.Session() as browser:
        answer = browser.post(
            f"{root}/login",
            data={"password": PASSWORD},
            headers={"Origin": root, "Sec-Fetch-Site": "same-origin"},
            timeout=10,
        )
        assert (answer.status_code, answer.url) == (200, f"{root}/")
        assert [(each.name, each.secure) for each in browser.cookies] == [("rtms_session", False)]


def test_somebody_logs_in_from_elsewhere_on_the_network(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as toward:
        try:
            toward.connect(("192.0.2.1", 9))  # sends nothing; chooses this machine's own address
        except OSError:
            pytest.skip("this machine is on no network")
        address = toward.getsockname()[0]
    root = f"http://{address}:{server.port}"
    with requests.Session() as browser:
        data, origin = {"password": PASSWORD}, {"Origin": root}
        browser.post(f"{root}/login", data=data, headers=origin, timeout=10)
        assert browser.get(f"{root}/", timeout=10).url == f"{root}/"
        assert browser.get(f"{root}/metrics", timeout=10).status_code == 404


@pytest.mark.parametrize("host", HOSTS)
def test_this_machine_reads_the_metrics_over_both(server: Server, host: str) -> None:
    assert requests.get(f"http://{host}:{server.port}/metrics", timeout=10).status_code == 200


def test_the_log_knows_an_ipv4_client_by_its_ipv4_address(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/zoom-webhook"
    assert requests.post(url, json={"event": "x"}, timeout=10).status_code == 401
    refused = wait_for(lambda: re.search("delivery refused.*", server.log()), "the line")
    assert "remote=127.0.0.1 " in refused[0]


def test_a_proxy_on_this_machine_says_that_it_speaks_tls(server: Server) -> None:
    answer = requests.post(
        f"http://127.0.0.1:{server.port}/login",
        data={"password": PASSWORD},
        headers={"X-Forwarded-Proto": "https"},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.headers["Set-Cookie"].startswith("__Host-rtms_session=")


def test_it_says_where_it_is(server: Server) -> None:
    assert f"Dashboard: http://localhost:{server.port}/" in server.log()


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "here", "not_here", "shown"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["[::1]"], "127.0.0.1"),
        ("::1", ["[::1]"], ["127.0.0.1"], "[::1]"),
        ("localhost", ["127.0.0.1", "[::1]"], [], "127.0.0.1"),
        ("0.0.0.0", ["127.0.0.1"], ["[::1]"], "localhost"),
    ],
)
def test_host_chooses_where_it_listens(
    tmp_path: Path, host: str, here: list[str], not_here: list[str], shown: str
) -> None:
    with listening_at(tmp_path, HOST=host) as server:
        assert [each for each in here if not takes_calls(each, server.port)] == []
        assert [each for each in not_here if takes_calls(each, server.port)] == []
        assert f"Dashboard: http://{shown}:{server.port}/" in server.log()


@needs_ipv6
def test_a_recall_on_ipv6_is_asked(tmp_path: Path) -> None:
    with RecallSandbox(host="::1", api_key=ENVIRON["RECALL_API_KEY"]) as recall:
        assert recall.url.startswith("http://[::1]:")
        with listening_at(tmp_path, RECALL_BASE_URL=recall.url, HOST="::1") as server:
            wait_for(lambda: f"{recall.url} accepts the API key" in server.log(), server.log)
