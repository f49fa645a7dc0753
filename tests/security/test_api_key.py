"""The API key goes to the configured Recall and to nobody else, over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from rtms.recall.client import Recall
from rtms.recall.create_outcomes import Created, Refused
from rtms.recall.errors import RecallError
from sandbox import Fault, RecallSandbox
from tests.conftest import ENVIRON

KEY = ENVIRON["RECALL_API_KEY"]


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Another host: its address, and everything it was ever told."""
    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.parse_request():
                return
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size).decode()
            heard.append(f"{self.raw_requestline.decode()}{self.headers}{body}")
            self.send_response(201)
            self.end_headers()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", heard
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def client(recall: RecallSandbox) -> Iterator[Recall]:
    made = Recall(KEY, recall.url, timeout=5)
    yield made
    made.close()


def create(client: Recall) -> object:
    return client.create_direct_connect(
        zoom_rtms={
            "meeting_uuid": "meeting",
            "rtms_stream_id": "stream",
            "server_urls": "wss://a.example",
            "signature": "0" * 64,
        },
        recording_config={"video_mixed_mp4": {}},
        metadata={},
        idempotency_key="key",
    )


def elsewhere(there: str, port: int) -> list[str]:
    """Addresses that are not Recall's, however alike."""
    there_port = urlsplit(there).port
    return [
        there,
        f"{there}/api/v1/meeting_direct_connect",
        there.replace("http:", ""),  # in the same scheme
        f"http://127.0.0.1:{port}@127.0.0.1:{there_port}/",
        f"http://localhost:{there_port}/",
        f"http://localhost:{port}/api/v1/meeting_direct_connect",  # its other name
        f"https://127.0.0.1:{port}/api/v1/meeting_direct_connect",
        f"http://127.0.0.1:{port}.evil.example/",
        f"\\\\127.0.0.1:{there_port}\\",
        f"http:\\\\127.0.0.1:{there_port}",
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("number", range(10))
def test_no_redirect_takes_the_key_to_another_host(
    recall: RecallSandbox, client: Recall, status: int, number: int
) -> None:
    with listening() as (there, heard):
        location = elsewhere(there, int(urlsplit(recall.url).port or 0))[number]
        recall.add_fault(Fault(kind="redirect", status=status, location=location, times=2))
        outcome = create(client)
        assert isinstance(outcome, Refused)
        assert KEY not in outcome.error
        with pytest.raises(RecallError) as raised:
            client.retrieve_direct_connect("some-id")
        assert KEY not in str(raised.value)
    assert heard == []
    asked = [entry for entry in recall.ledger if entry.authorization]
    assert len(asked) == 2  # once each: the redirect was not followed here either


def test_recall_itself_gets_the_key(recall: RecallSandbox, client: Recall) -> None:
    assert isinstance(create(client), Created)
    (entry,) = recall.ledger
    assert entry.authorization
