"""Proxies that can never work are told by the variable that names them, and tried only once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import Config, ConfigError
from rtms.http import proxies
from rtms.http.session import CannotBeSent, Session
from rtms.jobs.archive.retry_policy import next_try
from rtms.jobs.notify import job as notify_job
from rtms.recall.client import Recall
from rtms.recall.create_outcomes import Refused
from rtms.recall.errors import RecallError
from rtms.recordings.download import fetch
from rtms.recordings.download_errors import CannotBeFetched
from rtms.recordings.presigned import Links, LinkUnusable
from tests.conftest import ENVIRON

URL = "https://us-east-1.recall.ai"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SOUND = {**ENVIRON, "RECALL_BASE_URL": "", "DATABASE_URL": "sqlite:////tmp/none.sqlite3"}
NOTIFY = {
    "NOTIFY_URL": "http://hooks.example/token-of-the-hook",
    "NOTIFY_SECRET": "whsec_aGVsbG8gaGVsbG8=",
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


USELESS = [
    *(f"{kind}://user:hunter2@127.0.0.1:1080" for kind in ("socks4", "socks5", "socks5h")),
    *("socks://127.0.0.1:1080", "SOCKS5://127.0.0.1:1080", "ftp://proxy:21", "quic://hunter2"),
    *("http://", "http://:3128", "http://proxy:port", "http://proxy:99999", "http://proxy:0"),
    *("http://a proxy:3128", "http://proxy..example:3128", f"http://{'a' * 64}:3128"),
    *("http://[::1:3128", "http:/127.0.0.1:3128", "direct://", '"http://127.0.0.1:3128"'),
    *(
        "http://127.0.0.1:3128\n",
        "proxy:3128",
        "localhost:1",
        "'proxy.example:3128'",
        "http://user:hun#ter2@proxy:3128",
    ),
]


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("proxy", USELESS)
def test_a_proxy_that_can_never_work_is_told_by_its_variable(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)
    with Session() as session, pytest.raises(CannotBeSent) as caught:
        session.get(URL, timeout=1)
    assert str(caught.value).startswith(f"{variable} ")
    assert "NO_PROXY" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "proxy",
    [
        *("http://127.0.0.1:1", "127.0.0.1:1", "HTTP://127.0.0.1:1", "https://127.0.0.1:1"),
        *("http://u:p@ss@127.0.0.1:1", "http://[::1]:1", "http://localhost.:1"),
    ],
)
def test_a_proxy_that_is_away_is_trouble_that_may_pass(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(RecallError, match="HTTPS_PROXY or ALL_PROXY names did not") as caught:
        Recall("key", URL, timeout=2).retrieve_direct_connect("r-1")
    assert caught.value.passes


@pytest.mark.parametrize("exempt", ["*", "us-east-1.recall.ai", ".recall.ai", "recall.ai"])
def test_no_proxy_is_heeded(exempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert proxies.problems(Config.from_environ(SOUND)) == {}


def test_a_proxy_for_other_addresses_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1080")
    proxies.check(Config.from_environ(SOUND))
    with pytest.raises(ConfigError, match="NOTIFY_URL cannot be reached: HTTP_PROXY") as caught:
        proxies.check(Config.from_environ(SOUND | NOTIFY))
    assert "token-of-the-hook" not in str(caught.value)


def test_recall_is_not_asked_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    recall = Recall("the-key", URL)
    outcome = recall.create_direct_connect(
        zoom_rtms={}, recording_config={}, metadata={}, idempotency_key="key"
    )
    assert isinstance(outcome, Refused)
    assert "pip install 'requests[socks]'" in outcome.error
    with pytest.raises(RecallError, match="Recall was not asked: ALL_PROXY") as caught:
        recall.retrieve_direct_connect("r-1")
    assert not caught.value.passes


def test_a_download_is_not_tried_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    asked: list[str] = []

    def link() -> str:
        asked.append("a link")
        return "https://bucket.example/video.mp4?signature=secret"

    def pause(seconds: float) -> None:
        raise AssertionError("it is tried again")

    with pytest.raises(CannotBeFetched, match=r"video\.mp4 was not downloaded: ALL_PROXY") as told:
        fetch(link, tmp_path / "video.mp4", timeout=1, pause=pause)
    assert len(asked) == 1
    assert "secret" not in str(told.value)
    assert told.value.__context__ is None


@pytest.mark.parametrize(
    "link", ["https://bucket..example/x?secret", f"https://{'a' * 64}/?secret"]
)
def test_a_link_to_no_host_is_trouble_that_does_not_pass(link: str) -> None:
    with Links(None, 1.0) as links, pytest.raises(LinkUnusable) as caught:
        links.open(link, {})
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_certificates_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with Session() as session, pytest.raises(CannotBeSent, match="REQUESTS_CA_BUNDLE"):
        session.get(URL, timeout=1)


def test_what_somebody_has_to_mend_is_tried_seldom() -> None:
    assert notify_job.next_try(attempts=1, created_at=NOW, now=NOW, passes=False) == (
        NOW + timedelta(hours=1)
    )
    assert next_try(attempts=1, expires_at=None, now=NOW, passes=False) == (
        NOW + timedelta(hours=6)
    )
