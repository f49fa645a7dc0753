"""The stand-in for Zoom's API keeps Zoom's rules, and breaks them only on request."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from sandbox import Stream, ZoomApiSandbox, ZoomUser, events

Ask = Callable[..., requests.Response]


@pytest.fixture
def sent() -> list[dict[str, Any]]:
    """The events that the stand-in sends."""
    return []


@pytest.fixture
def zoom_api(sent: list[dict[str, Any]]) -> Iterator[ZoomApiSandbox]:
    """A stand-in that serves."""
    with ZoomApiSandbox(deliver=sent.append) as sandbox:
        yield sandbox


@pytest.fixture
def meeting(zoom_api: ZoomApiSandbox) -> Stream:
    """A live meeting without a stream."""
    return zoom_api.begin_meeting(Stream())


def token(zoom_api: ZoomApiSandbox, **changes: Any) -> requests.Response:
    """Ask for a token."""
    form = {"grant_type": "account_credentials", "account_id": zoom_api.account_id}
    app = (zoom_api.client_id, zoom_api.client_secret)
    return requests.post(
        f"{zoom_api.oauth_url}/token", data=form | changes, auth=changes.get("auth", app), timeout=5
    )


@pytest.fixture
def ask(zoom_api: ZoomApiSandbox, meeting: Stream) -> Ask:
    """Start or stop a stream of the meeting."""
    bearer = token(zoom_api).json()["access_token"]

    def send(action: str = "start", user: str | None = None, **settings: str) -> requests.Response:
        whole = {"client_id": zoom_api.rtms_client_id} | settings
        if user:
            whole["participant_user_id"] = user
        return requests.patch(
            f"{zoom_api.api_url}/live_meetings/{meeting.meeting_id}/rtms_app/status",
            json={"action": action, "settings": whole},
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=5,
        )

    return send


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_token_names_its_scopes(zoom_api: ZoomApiSandbox) -> None:
    body = token(zoom_api).json()
    assert body["scope"] == "meeting:update:participant_rtms_app_status:admin"
    assert body["expires_in"] == 3600


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"auth": ("sandbox-s2s-client-id", "wrong")}, "invalid_client"),
        ({"account_id": "another"}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_are_refused(
    zoom_api: ZoomApiSandbox, changes: dict[str, Any], error: str
) -> None:
    answer = token(zoom_api, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_an_accepted_start_is_followed_by_its_event(
    zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream, sent: list[dict[str, Any]]
) -> None:
    assert ask(user="user-1").status_code == 204
    wait_for(lambda: len(sent) == 1)
    assert sent[0]["event"] == "meeting.rtms_started"
    payload = sent[0]["payload"]
    assert payload["meeting_uuid"] == meeting.meeting_uuid
    assert payload["operator_id"] == "user-1"
    assert payload["rtms_stream_id"] != meeting.rtms_stream_id


def test_an_accepted_stop_is_followed_by_reason_25(
    zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream, sent: list[dict[str, Any]]
) -> None:
    zoom_api.begin_stream(meeting)
    assert ask("stop", meeting.operator_id).status_code == 204
    wait_for(lambda: len(sent) == 2)
    assert sent[1]["payload"]["stop_reason"] == 25
    assert zoom_api.meetings.streams(str(meeting.meeting_id)) == []


def test_a_broken_stream_may_be_started_again(
    zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream
) -> None:
    zoom_api.begin_stream(meeting)
    zoom_api.stop_stream(meeting, 13)
    assert ask(user=meeting.operator_id).status_code == 204
    assert zoom_api.violations == []


def test_a_second_start_is_accepted_starts_nothing_and_is_a_violation(
    zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream
) -> None:
    zoom_api.begin_stream(meeting)
    assert ask(user=meeting.operator_id).status_code == 204
    assert len(zoom_api.meetings.streams(str(meeting.meeting_id))) == 1
    assert len(zoom_api.violations) == 1
    assert ask(user="somebody else").status_code == 204  # each user has a stream of their own
    assert len(zoom_api.violations) == 1


def test_a_start_after_the_end_is_refused_and_a_violation(
    zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream, sent: list[dict[str, Any]]
) -> None:
    zoom_api.end_meeting(meeting, deliver=False)
    assert ask().json()["code"] == 3000
    assert zoom_api.violations == []  # nobody was told
    zoom_api.begin_stream(zoom_api.begin_meeting(meeting))
    zoom_api.end_meeting(meeting)
    assert [each["event"] for each in sent[-2:]] == ["meeting.rtms_stopped", "meeting.ended"]
    assert ask().json()["code"] == 3000
    assert len(zoom_api.violations) == 1


def test_what_is_wrong_is_refused(zoom_api: ZoomApiSandbox, ask: Ask) -> None:
    assert ask(client_id="another").json()["code"] == 300
    assert ask("dance").json()["code"] == 300
    zoom_api.refuse(2310)
    assert ask().json()["code"] == 2310
    zoom_api.refuse(429, retry_after=3)
    assert ask().headers["Retry-After"] == "3"
    zoom_api.tokens.revoke()
    assert ask().status_code == 401
    assert zoom_api.violations == []


def test_a_token_without_the_scope_is_refused(zoom_api: ZoomApiSandbox, meeting: Stream) -> None:
    zoom_api.tokens.scopes = ()
    bearer = token(zoom_api).json()["access_token"]
    answer = requests.patch(
        f"{zoom_api.api_url}/live_meetings/{meeting.meeting_id}/rtms_app/status",
        json={},
        headers={"Authorization": f"Bearer {bearer}"},
        timeout=5,
    )
    assert answer.json()["code"] == 4711


def test_the_ledger_counts_requests(zoom_api: ZoomApiSandbox, ask: Ask, meeting: Stream) -> None:
    before = time.time()
    zoom_api.add_fault("reset_before", path="stream")
    with pytest.raises(requests.ConnectionError):
        ask(user="user-1")
    ask(user="user-1")
    lost, done = zoom_api.starts(meeting.meeting_id)
    assert (lost.status, lost.fault, done.status) == ("reset", "reset_before", 204)
    assert (done.user_id, done.at >= before) == ("user-1", True)
    assert zoom_api.starts(1) == []


def test_a_meeting_that_begins_is_told_on_request(
    zoom_api: ZoomApiSandbox, sent: list[dict[str, Any]]
) -> None:
    stream = Stream()
    zoom_api.begin_meeting(stream, deliver=True)
    assert sent[0]["payload"] == events.meeting_started(stream)["payload"]


REDIRECT = "https://rtms.example/oauth-callback/zoom"


def user_token(zoom_api: ZoomApiSandbox, **form: str) -> requests.Response:
    """Ask for a user's token."""
    app = (zoom_api.rtms_client_id, "sandbox-client-secret")
    return requests.post(f"{zoom_api.oauth_url}/token", data=form, auth=app, timeout=5)


def with_code(zoom_api: ZoomApiSandbox, code: str, redirect_uri: str = REDIRECT) -> Any:
    """Exchange a code."""
    return user_token(
        zoom_api, grant_type="authorization_code", code=code, redirect_uri=redirect_uri
    )


def who(zoom_api: ZoomApiSandbox, bearer: str) -> requests.Response:
    """Ask whose token it is."""
    return requests.get(
        f"{zoom_api.api_url}/users/me", headers={"Authorization": f"Bearer {bearer}"}, timeout=5
    )


def test_a_code_is_exchanged_once(zoom_api: ZoomApiSandbox) -> None:
    user = ZoomUser()
    code = zoom_api.tokens.grant_code(user, REDIRECT)
    bearer = with_code(zoom_api, code).json()["access_token"]
    told = who(zoom_api, bearer).json()
    assert told == {"id": user.id, "account_id": user.account_id, "email": user.email}
    assert with_code(zoom_api, code).json()["error"] == "invalid_grant"


def test_a_code_belongs_to_its_redirect_url(zoom_api: ZoomApiSandbox) -> None:
    code = zoom_api.tokens.grant_code(ZoomUser(), REDIRECT)
    assert with_code(zoom_api, code, "https://other.example").status_code == 400


def test_a_refresh_ends_the_old_refresh_token(zoom_api: ZoomApiSandbox) -> None:
    user = ZoomUser()
    first = with_code(zoom_api, zoom_api.tokens.grant_code(user, REDIRECT)).json()
    old = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = user_token(zoom_api, **old).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert user_token(zoom_api, **old).json()["error"] == "invalid_grant"
    assert who(zoom_api, second["access_token"]).status_code == 200
    zoom_api.tokens.uninstall(user)
    assert who(zoom_api, second["access_token"]).status_code == 401


def test_a_token_reaches_the_meetings_of_its_account(zoom_api: ZoomApiSandbox, ask: Ask) -> None:
    user = ZoomUser()
    bearer = with_code(zoom_api, zoom_api.tokens.grant_code(user, REDIRECT)).json()["access_token"]
    theirs = zoom_api.begin_meeting(Stream(account_id=user.account_id))

    def start(number: object, bearer: str) -> int:
        return requests.patch(
            f"{zoom_api.api_url}/live_meetings/{number}/rtms_app/status",
            json={"action": "start", "settings": {"client_id": zoom_api.rtms_client_id}},
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=5,
        ).status_code

    assert start(theirs.meeting_id, bearer) == 204
    assert start(theirs.meeting_id, token(zoom_api).json()["access_token"]) == 400


def test_the_rtms_apps_credentials_get_no_account_token(zoom_api: ZoomApiSandbox) -> None:
    app = (zoom_api.rtms_client_id, "sandbox-client-secret")
    assert token(zoom_api, auth=app).json()["error"] == "unsupported_grant_type"
