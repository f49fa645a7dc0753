"""/metrics of several real processes: whichever answers, the answer is the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.databases import on_one_engine
from tests.prometheus import Scraped
from tests.servers import Server, wait_for

TOKEN = "metrics-token-of-the-tests"
HEARD_OF = 30.0  # seconds; each process says every ten what it has counted


def scrape(server: Server) -> Scraped:
    """Over a new connection, so that any of the web processes may take it."""
    answer = requests.get(f"{server.url}/metrics", timeout=20)
    assert answer.status_code == 200, answer.text
    return Scraped(answer.text)


def started(told: Scraped) -> float:
    return told.sum("rtms_deliveries_total", event="meeting.rtms_started", outcome="accepted")


@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_whichever_process_answers_the_sums_are_right(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox
) -> None:
    count = 24
    server.start()
    worker = server.start_worker()
    wait_for(lambda: scrape(server).sum("rtms_dispatcher_up") == 3, "three dispatchers", HEARD_OF)
    for number in range(count):
        with ZoomSandbox(zoom.endpoint, ENVIRON["ZOOM_SECRET_TOKEN"], timeout=20) as one:
            assert one.deliver(events.started(Stream())).ok, number
    sums: list[float] = []

    def all_is_told() -> bool:
        told = scrape(server)
        sums.append(started(told))
        return (
            sums[-1] == told.sum("rtms_time_to_connect_seconds_count") == count
            and told.sum("rtms_meetings", state="connected") == count
        )

    wait_for(all_is_told, lambda: f"{count} starts, connected: {sums[-1]}", HEARD_OF)
    assert sums == sorted(sums)  # a counter that went back would look like a restart
    answers = [scrape(server) for _ in range(20)]
    web = {
        sample.labels["process"]: sample.value
        for sample in answers[0].all("rtms_dispatcher_up", kind="web")
    }
    assert list(web.values()) == [1, 1]
    for told in answers:
        assert started(told) == count
        assert told.sum("rtms_acknowledgement_seconds_count") == count
        assert told.sum("rtms_time_to_connect_seconds_count") == count
        assert told.sum("rtms_recall_answers_total", outcome="created") == count
        assert told.sum("rtms_meetings", state="connected") == count
        assert told.sum("rtms_dispatcher_up") == 3
        assert told.sum("rtms_dispatcher_up", kind="worker") == 1
        assert set(told.values("rtms_process_start_time_seconds", "process")) > set(web)
    _leaks_nothing(server)
    assert server.terminate(worker) == 0
    wait_for(lambda: scrape(server).sum("rtms_dispatcher_up") == 2, "the worker's row to go")


@on_one_engine
@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_both_web_processes_answer_and_end_without_a_trace(server: Server) -> None:
    master = server.start()
    pids = {worker.pid for worker in server.workers(master)}
    wait_for(lambda: len(scrape(server).all("rtms_dispatcher_up")) == 2, "both processes")
    named = scrape(server).values("rtms_dispatcher_up", "process")
    assert {int(name.split(":")[-2]) for name in named} == pids
    assert server.terminate(master) == 0
    server.start()
    wait_for(lambda: len(scrape(server).all("rtms_dispatcher_up")) == 2, "the new processes")
    assert set(scrape(server).values("rtms_dispatcher_up", "process")).isdisjoint(named)


@on_one_engine
@pytest.mark.environ(DISPATCHER="off")
def test_no_dispatcher_is_told_where_none_runs(server: Server) -> None:
    server.start()
    wait_for(lambda: len(scrape(server).all("rtms_dispatcher_up")) == 2, "both processes")
    assert scrape(server).sum("rtms_dispatcher_up") == 0
    worker = server.start_worker()
    wait_for(lambda: scrape(server).sum("rtms_dispatcher_up") == 1, "the worker", HEARD_OF)
    assert server.terminate(worker) == 0
    wait_for(lambda: scrape(server).sum("rtms_dispatcher_up") == 0, "the worker's end")


@on_one_engine
@pytest.mark.environ(METRICS_TOKEN=TOKEN)
def test_a_tunnel_on_this_machine_needs_the_token(server: Server) -> None:
    server.start()

    def status(**headers: str) -> int:
        answer = requests.get(f"{server.url}/metrics", headers=headers, timeout=20)
        return answer.status_code

    forwarded: dict[str, Any] = {"X-Forwarded-For": "192.0.2.1"}
    assert status() == 200
    assert status(**forwarded) == 401
    assert status(**forwarded, Authorization="Bearer wrong") == 401
    assert status(**forwarded, Authorization=f"Bearer {TOKEN}") == 200


def _leaks_nothing(server: Server) -> None:
    text = requests.get(f"{server.url}/metrics", timeout=20).text
    for name in ("ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_SECRET", "RECALL_API_KEY"):
        assert ENVIRON[name] not in text
    for secret in (TOKEN, server.environ["DATABASE_URL"]):
        assert secret not in text
        assert secret not in server.log()
    assert not re.search(r"[0-9a-f]{32}", text)  # a stream's id, a signature
