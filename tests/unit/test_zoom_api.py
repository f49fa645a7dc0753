"""The client for Zoom's API, against a server that answers as it is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from rtms.zoom.api import ZoomApi
from rtms.zoom.stream_outcomes import Accepted, NotAllowed, NotLive, OutcomeUnknown, TryLater
from rtms.zoom.token_answers import NoToken
from sandbox.wire import Answer, Request, Server

SECRET = "secret-of-the-server-to-server-app"
TOKEN = "access-token-of-the-tests"


class FakeZoom:
    """Answers token requests and stream requests as it is told."""

    def __init__(self) -> None:
        self.token_answers: list[Answer] = []
        self.stream_answers: list[Answer] = []
        self.requests: list[Request] = []
        self.streams_together: threading.Barrier | None = None  # answer so many at once
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        if self.streams_together and request.path != "/oauth/token":
            self.streams_together.wait(10)
        with self._lock:
            self.requests.append(request)
            if request.path == "/oauth/token":
                if self.token_answers:
                    return self.token_answers.pop(0)
                number = len(self.to("/oauth/token"))
                return token(f"{TOKEN}-{number}")
            return self.stream_answers.pop(0) if self.stream_answers else Answer(204)

    def to(self, start: str) -> list[Request]:
        return [each for each in self.requests if each.path.startswith(start)]


def token(value: str, **more: Any) -> Answer:
    body = {"access_token": value, "token_type": "bearer", "expires_in": 3600}
    return Answer.of_json(200, {**body, "scope": "user:read:admin other:scope", **more})


def error(status: int, code: int, message: str = "words of Zoom's") -> Answer:
    return Answer.of_json(status, {"code": code, "message": message})


@pytest.fixture
def zoom() -> FakeZoom:
    return FakeZoom()


@pytest.fixture
def make_api(zoom: FakeZoom) -> Iterator[Callable[..., ZoomApi]]:
    server = Server(("127.0.0.1", 0), zoom.answer)
    server.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    made = []

    def make(**settings: Any) -> ZoomApi:
        whole = {
            "account_id": "account-1",
            "client_id": "s2s-client",
            "client_secret": SECRET,
            "rtms_client_id": "rtms-client",
            "api_url": f"{url}/v2",
            "oauth_url": f"{url}/oauth",
            "timeout": 5.0,
        }
        api = ZoomApi(**{**whole, **settings})
        made.append(api)
        return api

    yield make
    for api in made:
        api.close()
    server.stop()


@pytest.fixture
def api(make_api: Callable[..., ZoomApi]) -> ZoomApi:
    return make_api()


def test_a_start_is_asked_for_as_zoom_documents_it(api: ZoomApi, zoom: FakeZoom) -> None:
    outcome = api.change_stream("start", meeting_id="85551234567", participant_user_id="user-1")
    assert outcome == Accepted()
    asked_token, asked = zoom.requests
    assert asked_token.method == "POST"
    basic = base64.b64decode(asked_token.headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == f"s2s-client:{SECRET}"
    assert parse_qs(asked_token.body.decode()) == {
        "grant_type": ["account_credentials"],
        "account_id": ["account-1"],
    }
    assert (asked.method, asked.path) == ("PATCH", "/v2/live_meetings/85551234567/rtms_app/status")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}-1"
    assert json.loads(asked.body) == {
        "action": "start",
        "settings": {"client_id": "rtms-client", "participant_user_id": "user-1"},
    }


def test_a_user_is_named_only_where_there_is_one(api: ZoomApi, zoom: FakeZoom) -> None:
    api.change_stream("stop", meeting_id="85551234567")
    assert json.loads(zoom.requests[-1].body)["settings"] == {"client_id": "rtms-client"}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(204), Accepted, ""),
        (Answer(202), Accepted, ""),
        (error(404, 3000), NotLive, "no such live meeting"),
        (error(400, 3000), NotLive, "another account than ZOOM_S2S_ACCOUNT_ID"),
        (error(400, 2308), NotAllowed, "neither the meeting's host"),
        (error(400, 2310), NotAllowed, "Developer Pack"),
        (error(400, 4711), NotAllowed, "lacks the scope meeting:update"),
        (error(403, 200), NotAllowed, "only the meetings of its own account"),
        (error(400, 300, "Invalid action"), NotAllowed, "Invalid action"),
        (Answer.of_json(400, {"code": [3000]}), NotAllowed, "does not accept"),
        (Answer(400, b"<html>", "text/html"), NotAllowed, "<html>"),
        (error(429, 429), TryLater, "too many requests"),
        (error(500, 1), TryLater, "had an error"),
        (Answer(503, b"<html>", "text/html"), TryLater, "had an error"),
        (Answer(307, headers={"Location": "http://127.0.0.2/"}), NotAllowed, "ZOOM_API_URL"),
        (Answer(204, manner="reset"), OutcomeUnknown, "failed or was reset"),
        (Answer(200, b"x" * 70_000), OutcomeUnknown, "too large"),
        (Answer(200, b"<html>", "text/html"), OutcomeUnknown, "another program"),
    ],
)
def test_each_answer_has_its_outcome(
    api: ZoomApi, zoom: FakeZoom, answer: Answer, kind: Any, words: str
) -> None:
    zoom.stream_answers = [answer]
    outcome = api.change_stream("start", meeting_id="85551234567")
    assert isinstance(outcome, kind)
    assert words in getattr(outcome, "error", "")
    assert len(zoom.to("/v2")) == 1


def test_a_rate_limit_says_how_long(api: ZoomApi, zoom: FakeZoom) -> None:
    zoom.stream_answers = [Answer.of_json(429, {}, Retry_After="17"), Answer.of_json(429, {})]
    first, second = (api.change_stream("start", meeting_id="1") for _ in range(2))
    assert isinstance(first, TryLater)
    assert (first.retry_after, first.is_rate_limit) == (17.0, True)
    assert isinstance(second, TryLater)
    assert (second.retry_after, second.is_rate_limit) == (None, True)


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["hang", "drip"])
def test_a_zoom_that_hangs_is_given_up(
    make_api: Callable[..., ZoomApi], zoom: FakeZoom, manner: Any
) -> None:
    zoom.stream_answers = [Answer(200, b"x" * 1000, manner=manner, drip=0.05)]
    outcome = make_api(timeout=0.3).change_stream("start", meeting_id="1")
    assert isinstance(outcome, OutcomeUnknown)
    assert "No answer from Zoom" in outcome.error


def test_nobody_at_the_address_is_no_answer(make_api: Callable[..., ZoomApi]) -> None:
    outcome = make_api(api_url="http://127.0.0.1:1/v2").change_stream("start", meeting_id="1")
    assert isinstance(outcome, OutcomeUnknown)


def test_a_token_is_kept_until_shortly_before_its_end(api: ZoomApi, zoom: FakeZoom) -> None:
    for _ in range(3):
        api.change_stream("start", meeting_id="1")
    assert len(zoom.to("/oauth")) == 1


def test_a_token_that_ends_soon_is_renewed(api: ZoomApi, zoom: FakeZoom) -> None:
    zoom.token_answers = [token("ends-soon", expires_in=59)]
    api.change_stream("start", meeting_id="1")
    api.change_stream("start", meeting_id="1")
    used = [each.headers["Authorization"] for each in zoom.to("/v2")]
    assert used == ["Bearer ends-soon", f"Bearer {TOKEN}-2"]


def test_threads_share_one_token(api: ZoomApi, zoom: FakeZoom) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: api.change_stream("start", meeting_id="1"), range(16)))
    assert len(zoom.to("/oauth")) == 1


def test_a_token_that_is_refused_is_renewed_once(api: ZoomApi, zoom: FakeZoom) -> None:
    zoom.stream_answers = [error(401, 124), Answer(204)]
    assert api.change_stream("start", meeting_id="1") == Accepted()
    zoom.stream_answers = [error(401, 124), error(401, 124), Answer(204)]
    outcome = api.change_stream("start", meeting_id="1")
    assert isinstance(outcome, NotAllowed)
    assert "refused a new access token" in outcome.error


def test_a_token_without_the_scope_is_not_kept(api: ZoomApi, zoom: FakeZoom) -> None:
    zoom.stream_answers = [error(400, 4711), Answer(204)]
    assert isinstance(api.change_stream("start", meeting_id="1"), NotAllowed)
    assert api.change_stream("start", meeting_id="1") == Accepted()
    assert len(zoom.to("/oauth")) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(200, b"<html>", "text/html"), TryLater, "did not answer with JSON"),
        (Answer(404, b"<html>", "text/html"), NotAllowed, "check ZOOM_OAUTH_URL"),
        (Answer.of_json(200, ["x"]), TryLater, "did not answer with JSON"),
        (Answer.of_json(200, {}), TryLater, "gave no access token"),
        (Answer.of_json(200, {"access_token": "zwölf"}), TryLater, "gave no access token"),
        (
            Answer.of_json(400, {"reason": "Bad account", "error": "invalid_request"}),
            NotAllowed,
            "ZOOM_S2S_ACCOUNT_ID",
        ),
        (
            Answer.of_json(401, {"reason": SECRET, "error": "invalid_client"}),
            NotAllowed,
            "invalid_client)",
        ),
        (Answer.of_json(400, {"error": f"<{SECRET}>"}), NotAllowed, "without a known code"),
        (Answer(500, b"down", "text/plain"), TryLater, "answered 500"),
        (Answer(429, b"<html>", "text/html", {"Retry-After": "9"}), TryLater, "answered 429"),
        (Answer(200, manner="reset"), TryLater, "gave no answer"),
        (Answer(302, headers={"Location": "http://127.0.0.2/"}), NotAllowed, "redirects"),
        (Answer.of_json(400, {"error": "invalid_client"}), NotAllowed, "ZOOM_S2S_CLIENT_SECRET"),
        (Answer.of_json(400, {"error": "unsupported_grant_type"}), NotAllowed, "Server-to-Server"),
        (Answer.of_json(200, {"access_token": "x", "expires_in": "y"}), TryLater, "gave no access"),
        (Answer(200, b"x" * 70_000), TryLater, "too large"),
    ],
)
def test_a_token_endpoint_in_trouble(
    api: ZoomApi, zoom: FakeZoom, answer: Answer, kind: Any, words: str
) -> None:
    zoom.token_answers = [answer]
    outcome: Any = api.change_stream("start", meeting_id="1")
    assert isinstance(outcome, kind)
    assert words in outcome.error
    assert SECRET not in outcome.error
    assert zoom.to("/v2") == []
    if "429" in words:
        assert (outcome.retry_after, outcome.is_rate_limit) == (9.0, True)


@pytest.mark.slow
def test_a_token_that_drips_is_given_up(make_api: Callable[..., ZoomApi], zoom: FakeZoom) -> None:
    zoom.token_answers = [replace(token("slow"), manner="drip", drip=0.05)]
    outcome = make_api(timeout=0.3).change_stream("start", meeting_id="1")
    assert isinstance(outcome, TryLater)
    assert "too slowly" in outcome.error


@pytest.mark.slow
def test_threads_that_wait_for_a_token_share_its_failure(
    make_api: Callable[..., ZoomApi], zoom: FakeZoom
) -> None:
    zoom.token_answers = [Answer(200, manner="hang")] * 8
    api, barrier = make_api(timeout=0.5), threading.Barrier(8)

    def ask(_: int) -> object:
        barrier.wait(10)
        return api.change_stream("start", meeting_id="1")

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(ask, range(8)))
    assert all(isinstance(each, TryLater) for each in outcomes)
    assert len(zoom.to("/oauth")) == 1
    zoom.token_answers = []
    assert api.change_stream("start", meeting_id="1") == Accepted()  # the next one asks again


def test_threads_whose_token_is_refused_renew_it_once(api: ZoomApi, zoom: FakeZoom) -> None:
    api.scopes()
    zoom.stream_answers = [error(401, 124)] * 4
    zoom.streams_together = threading.Barrier(4)  # so that all four use the first token
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(api.change_stream, "start", meeting_id="1") for _ in range(4)]
        assert [each.result() for each in asked] == [Accepted()] * 4
    assert len(zoom.to("/oauth")) == 2


def test_a_proxy_that_cannot_work_is_named(
    api: ZoomApi, zoom: FakeZoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://:proxy-password@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    outcome = api.change_stream("start", meeting_id="1")
    assert isinstance(outcome, NotAllowed)
    assert "ALL_PROXY" in outcome.error
    assert "proxy-password" not in outcome.error
    assert zoom.requests == []


def test_a_password_in_netrc_is_not_sent(
    api: ZoomApi, zoom: FakeZoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    api.change_stream("start", meeting_id="1")
    for_token, for_stream = (each.headers["Authorization"] for each in zoom.requests)
    assert base64.b64decode(for_token.removeprefix("Basic ")) == f"s2s-client:{SECRET}".encode()
    assert for_stream == f"Bearer {TOKEN}-1"


def test_a_client_id_of_odd_characters_is_sent(
    make_api: Callable[..., ZoomApi], zoom: FakeZoom
) -> None:
    assert make_api(client_id="schlüssel→").scopes()
    (asked,) = zoom.requests
    basic = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == f"schlüssel→:{SECRET}"


def test_the_scopes_are_those_of_the_token(api: ZoomApi, zoom: FakeZoom) -> None:
    assert api.scopes() == {"user:read:admin", "other:scope"}


def test_no_token_and_no_secret_is_shown(api: ZoomApi, zoom: FakeZoom) -> None:
    zoom.stream_answers = [error(400, 1, f"{SECRET} {TOKEN}-1")]
    outcome: Any = api.change_stream("start", meeting_id="1")
    assert "[hidden] [hidden]" in outcome.error
    assert SECRET not in repr(api) + repr(vars(api)["_tokens"])
    with pytest.raises(NoToken) as no_token:
        zoom.token_answers = [Answer.of_json(400, {"error": "invalid_client"})]
        api.scopes()
    assert SECRET not in str(no_token.value)
