"""The stand-in Recall keeps Recall's rules, and breaks them only on request."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox import Fault, RecallSandbox

PATH = "/api/v1/meeting_direct_connect"
Create = Callable[..., requests.Response]


def body_for(stream: str = "stream-1", **changes: Any) -> dict[str, Any]:
    """Return a body that Recall takes."""
    rtms = {
        "meeting_uuid": "4444AAAiAAAAAiAiAiiAii==",
        "rtms_stream_id": stream,
        "server_urls": "wss://rtms.zoom.signature.example:443",
        "signature": "0" * 64,
    }
    return {
        "zoom_rtms": rtms | changes,
        "recording_config": {"video_mixed_mp4": {}},
        "metadata": {"stream": stream},
    }


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


@pytest.fixture
def recall() -> Iterator[RecallSandbox]:
    """A stand-in Recall that serves."""
    with RecallSandbox(processing_seconds=0.0) as sandbox:
        yield sandbox


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that knows the key."""
    with requests.Session() as session:
        session.headers["Authorization"] = "Token sandbox-key"
        yield session


@pytest.fixture
def create(recall: RecallSandbox, session: requests.Session) -> Create:
    """Send a create with a key, for a stream."""

    def send(
        key: str | None = None, stream: str = "stream-1", path: str = PATH, **changes: Any
    ) -> requests.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return session.post(
            recall.url + path,
            json=body_for(stream, **changes),
            headers=headers,
            timeout=30,
            allow_redirects=False,
        )

    return send


def outcomes(recall: RecallSandbox) -> list[str]:
    """Return the ledger's words, in order."""
    return [entry.outcome for entry in recall.ledger]


def test_a_create_makes_a_connection(recall: RecallSandbox, create: Create) -> None:
    answer = create("key")
    assert answer.status_code == 201
    assert answer.json()["status"]["code"] == "connecting"
    assert answer.json()["metadata"] == {"stream": "stream-1"}
    (entry,) = recall.ledger
    assert (entry.outcome, entry.status, entry.connection_id) == (
        "created",
        201,
        answer.json()["id"],
    )
    assert entry.authorization and entry.idempotency_key == "key"
    assert "sandbox-key" not in repr(entry)


@pytest.mark.parametrize("work", ["status", "connection"])
def test_same_key_after_completion_gets_the_first_answer_again(
    recall: RecallSandbox, create: Create, work: str
) -> None:
    if work == "status":
        recall.add_fault("status", status=507)
    first, second = create("key"), create("key", path=PATH + "/")
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert outcomes(recall)[1] == "replayed"
    assert len(recall.connections) == (work == "connection")
    assert create("another key").status_code == 201


def test_same_key_while_the_first_is_running_is_refused(
    recall: RecallSandbox, create: Create
) -> None:
    recall.add_fault("status", status=504, work="after", work_seconds=3600)
    assert create("key").status_code == 504
    assert create("key").status_code == 409
    assert outcomes(recall) == ["fault:status", "in_flight"]
    assert recall.connections == []


def test_work_that_outlives_its_gateway_answers_the_same_key(
    recall: RecallSandbox, create: Create
) -> None:
    recall.add_fault("status", status=504, work="after", work_seconds=0.05)
    assert create("key").status_code == 504
    eventually(lambda: create("key").status_code == 201)
    assert len(recall.connections) == 1


def test_same_key_at_the_same_moment_connects_once(recall: RecallSandbox, create: Create) -> None:
    recall.set(latency=0.1)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: create("key").status_code, range(16)))
    assert set(statuses) <= {201, 409} and 201 in statuses
    assert recall.summary()["stream-1"]["created"] == len(recall.connections) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_refusal_is_not_kept(recall: RecallSandbox, create: Create, status: int) -> None:
    recall.add_fault("status", status=status)
    assert [create("key").status_code for _ in range(2)] == [status, 201]


def test_a_second_connection_kicks_out_the_first_but_a_failover_does_not(
    recall: RecallSandbox, create: Create
) -> None:
    first = create("a").json()["id"]
    create("b", server_urls="wss://other.zoom.example:443")
    assert recall.summary()["stream-1"]["kicked_out"] == 0
    create("c", server_urls="wss://other.zoom.example:443")
    assert recall.summary()["stream-1"]["kicked_out"] == 1
    assert [each.ended_by for each in recall.connections] == ["failed_over", "kicked_out", None]
    assert recall.connections[0].id == first


def test_a_throttled_create_says_when_and_is_kept_under_its_key(
    recall: RecallSandbox, create: Create
) -> None:
    recall.set(limit=(1, 3600))
    assert create("a").status_code == 201
    assert create("a").status_code == 201  # again the first answer, which counts once
    refused = create("b", "stream-2")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    recall.set(limit=None)
    assert create("b", "stream-2").status_code == 429
    assert create("c", "stream-2").status_code == 201


def test_a_bad_key_is_refused(recall: RecallSandbox, session: requests.Session) -> None:
    headers = {"Authorization": "Token wrong"}
    answer = session.post(recall.url + PATH, json=body_for(), headers=headers, timeout=30)
    assert (answer.status_code, outcomes(recall)) == (401, ["unauthorized"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"zoom_rtms": None}, "zoom_rtms"),
        ({"zoom_rtms": {}}, "zoom_rtms"),
        ({"zoom_rtms": body_for(signature="")["zoom_rtms"]}, "zoom_rtms"),
        ({"zoom_rtms": body_for(meeting_uuid=7)["zoom_rtms"]}, "zoom_rtms"),
        ({"recording_config": []}, "recording_config"),
        ({"recording_config": {"metadata": {"row": 7}}}, "recording_config"),
        ({"metadata": {"row": 7}}, "metadata"),
        ({"metadata": {"row": "x" * 501}}, "metadata"),
        ({"metdata": {}}, "metdata"),
    ],
)
def test_a_wrong_body_is_told_what_is_wrong(
    recall: RecallSandbox, session: requests.Session, changes: dict[str, Any], field: str
) -> None:
    answer = session.post(recall.url + PATH, json=body_for() | changes, timeout=30)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert outcomes(recall) == ["invalid"]


def test_the_join_signature_is_checked_when_the_credentials_are_known(
    session: requests.Session,
) -> None:
    # printf %s id,uuid,stream | openssl dgst -sha256 -hmac secret
    right = "dc464e6a7f2a0fa1c92d7163634883d4d7f1d124640e861ab5a7e758ba6c61cb"
    with RecallSandbox(client_id="id", client_secret="secret") as recall:
        for signature in (right, "wrong"):
            body = body_for("stream", meeting_uuid="uuid", signature=signature)
            assert session.post(recall.url + PATH, json=body, timeout=30).status_code == 201
        assert [each.signature_ok for each in recall.connections] == [True, False]


@pytest.mark.parametrize(("kind", "made"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_before_or_after_the_work(
    recall: RecallSandbox, create: Create, kind: str, made: int
) -> None:
    recall.add_fault(kind)
    with pytest.raises(requests.ConnectionError):
        create("key")
    assert len(recall.connections) == made
    assert recall.ledger[0].status == "reset"
    assert create("key").status_code == 201
    assert outcomes(recall) == [f"fault:{kind}", "replayed" if made else "created"]
    assert len(recall.connections) == 1


def test_a_hang_is_never_answered(recall: RecallSandbox, session: requests.Session) -> None:
    recall.add_fault("hang")
    with pytest.raises(requests.ReadTimeout):
        session.post(recall.url + PATH, json=body_for(), timeout=0.2)
    eventually(lambda: [entry.status for entry in recall.ledger] == ["hang"])


def test_a_drip_arrives_whole_or_outlasts_the_client(
    recall: RecallSandbox, create: Create, session: requests.Session
) -> None:
    recall.add_fault("drip", seconds=0.0001)
    assert create("key").json()["id"] == recall.connections[0].id
    recall.add_fault("drip", seconds=3600)
    with pytest.raises(requests.RequestException):
        session.post(recall.url + PATH, json=body_for(), timeout=0.2)


@pytest.mark.parametrize(("honest", "error"), [(False, requests.RequestException), (True, None)])
def test_an_answer_is_cut_off(
    recall: RecallSandbox,
    create: Create,
    honest: bool,
    error: type[Exception] | None,
) -> None:
    recall.add_fault("truncated", honest=honest, cut=20)
    if error is None:
        answer = create("key")
        assert (answer.status_code, len(answer.content)) == (201, 20)
    else:
        with pytest.raises(error):
            create("key")
    assert create("key").json()["id"] == recall.connections[0].id


def test_down_it_refuses_connections_and_comes_back_with_its_memory(
    recall: RecallSandbox, create: Create
) -> None:
    first = create("key").json()["id"]
    with recall.down(), pytest.raises(requests.ConnectionError):
        create("another key")
    assert create("key").json()["id"] == first
    assert outcomes(recall) == ["created", "replayed"]


def test_answers_that_make_no_sense(recall: RecallSandbox, create: Create) -> None:
    recall.add_fault("no_id")
    recall.add_fault("not_json")
    recall.add_fault("firewall")
    assert "id" not in create("a").json()
    assert create("b").text.startswith("<html>")
    blocked = create("c")
    assert blocked.status_code == 403 and "Request blocked" in blocked.text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_does_no_work(recall: RecallSandbox, create: Create, status: int) -> None:
    recall.add_fault("redirect", status=status, location=PATH + "/")
    answer = create("key")
    assert (answer.status_code, answer.headers["Location"]) == (status, PATH + "/")
    assert recall.connections == []


def test_faults_meet_the_requests_they_name(recall: RecallSandbox, create: Create) -> None:
    recall.add_fault(Fault(kind="status", status=503, stream="stream-2", after=1, times=2))
    statuses = [create(stream="stream-2").status_code for _ in range(4)]
    assert statuses == [201, 503, 503, 201]
    recall.add_fault("status", status=429, retry_after=7, times=None)
    assert create().headers["Retry-After"] == "7"
    recall.clear_faults()
    recall.add_fault("status", status=429, retry_after=7, retry_after_date=True)
    assert create().headers["Retry-After"].endswith("GMT")
    assert create().status_code == 201


def test_retrieve_and_list(
    recall: RecallSandbox, create: Create, session: requests.Session
) -> None:
    made = [create(stream=f"stream-{number}").json()["id"] for number in range(5)]
    one = session.get(f"{recall.url}{PATH}/{made[0]}", timeout=30)
    assert (one.status_code, one.json()["id"]) == (200, made[0])
    assert session.get(f"{recall.url}{PATH}/unknown", timeout=30).status_code == 404
    with_body = session.get(f"{recall.url}{PATH}/{made[0]}", data=b"{}", timeout=30)
    assert with_body.status_code == 403 and "Request blocked" in with_body.text

    url, listed = f"{recall.url}{PATH}?page_size=2", []
    while url:
        page = session.get(url, timeout=30).json()
        listed += [each["id"] for each in page["results"]]
        url = page["next"]
    assert listed == made[::-1]


def test_stopping_leaves_no_thread_behind(session: requests.Session) -> None:
    before = threading.active_count()
    with RecallSandbox() as recall:
        session.get(recall.url + PATH, timeout=30)
    eventually(lambda: threading.active_count() <= before)
