"""Recall is away, or answers in every way but the one that is hoped for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sandbox import Fault, RecallSandbox, Stream
from tests.chaos.client import Client, client_of, more
from tests.chaos.judge import assert_acknowledged_is_connected_once
from tests.conftest import ENVIRON
from tests.servers import Server, a_server, creates, wait_for

CONNECTED = {
    "429 with seconds": Fault(kind="status", status=429, retry_after=2),
    "429 with an HTTP date": Fault(kind="status", status=429, retry_after=2, retry_after_date=True),
    "429 without a time": Fault(kind="status", status=429),
    "507": Fault(kind="status", status=507),
    "500": Fault(kind="status", status=500),
    # Later than the client waits: it asks again under the same key.
    "500 too late, and again for its key": Fault(kind="status", status=500, delay=2.5),
    "HTML from a gateway": Fault(kind="status", status=502),
    "HTML with 201": Fault(kind="not_json"),
    "JSON cut off": Fault(kind="truncated"),
    "JSON cut off as Content-Length says": Fault(kind="truncated", honest=True),
    "201 without an id": Fault(kind="no_id"),
    "a byte a second": Fault(kind="drip", seconds=1),
    "hung up before the work": Fault(kind="reset_before"),
    "hung up after the work": Fault(kind="reset_after"),
    "silence": Fault(kind="hang"),
}
"""Trouble after which the stream is connected all the same."""


@pytest.mark.environ(RECALL_TIMEOUT_SECONDS="2")
def test_every_kind_of_trouble_ends_in_one_connection(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """Each stream meets another kind, all of them at once."""
    server.start()
    streams = {name: Stream() for name in CONNECTED}
    for name, stream in streams.items():
        fault = CONNECTED[name]
        recall.add_fault(Fault(**{**vars(fault), "stream": stream.rtms_stream_id}))
    assert {client.start(stream).status for stream in streams.values()} == {200}
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    outcomes = {
        name: recall.summary()[stream.rtms_stream_id]["outcomes"]
        for name, stream in streams.items()
    }
    for name, met in outcomes.items():
        assert f"fault:{CONNECTED[name].kind}" in met, name
    assert "replayed" in outcomes["500 too late, and again for its key"]


def test_a_refusal_and_a_redirect_to_another_host_end_the_row_and_say_why(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """The other host is asked nothing, so it does not see the API key either."""
    server.start()
    blocked, led_away = Stream(), Stream()
    with RecallSandbox() as elsewhere:
        place = f"{elsewhere.url}/api/v1/meeting_direct_connect"
        recall.add_fault("firewall", stream=blocked.rtms_stream_id)
        recall.add_fault("redirect", location=place, stream=led_away.rtms_stream_id, times=None)
        assert {client.start(stream).status for stream in (blocked, led_away)} == {200}
        wait_for(
            lambda: {row["state"] for row in server.meetings()} == {"failed"}, "two failed rows"
        )
        assert elsewhere.ledger == []
    rows = {row["rtms_stream_id"]: row for row in server.meetings()}
    assert {row["reason"] for row in rows.values()} == {"refused"}
    assert "Request blocked" in rows[blocked.rtms_stream_id]["last_error"]
    assert "another host" in rows[led_away.rtms_stream_id]["last_error"]
    assert recall.connections == []


def test_answers_that_are_lost_after_the_work_double_nothing(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    server.start()
    recall.add_fault("reset_after", path="create", times=60)
    with client.burst():
        more(client, 40)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    outcomes = [entry.outcome for entry in recall.ledger]
    assert "replayed" in outcomes and outcomes.count("fault:reset_after") == 60


@pytest.fixture
def servers(postgres: Any, recall: RecallSandbox, tmp_path: Path) -> Iterator[list[Server]]:
    """A server on each engine, for what takes so long that both may as well wait together."""
    name = f"down_{uuid.uuid4().hex}"
    postgres.psql(f'CREATE DATABASE "{name}";')
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'rtms.sqlite3'}",
        "postgresql": postgres.get_uri(name),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                a_server(
                    {**ENVIRON, "DATABASE_URL": url, "RECALL_BASE_URL": recall.url},
                    tmp_path / f"{engine}.log",
                )
            )
            for engine, url in urls.items()
        ]
    postgres.psql(f'DROP DATABASE "{name}" WITH (FORCE);')


def test_recall_is_down_for_25_seconds_of_the_window(
    servers: list[Server], recall: RecallSandbox
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(server)) for server in servers]
        for server in servers:
            server.start()
        with recall.down():
            began = time.monotonic()
            for _ in range(10):
                for client in clients:
                    client.start_until_acknowledged()
            time.sleep(max(0.0, began + 25 - time.monotonic()))
            assert creates(recall) == []
    for server, client in zip(servers, clients, strict=True):
        assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert len(recall.connections) == 20
