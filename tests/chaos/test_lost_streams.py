"""Streams are lost while their meetings go on, and the seconds that are not recorded are measured.

The stand-in for Zoom starts the new streams. The gap is measured from outside: from the moment at
which the old stream was lost to the moment at which Recall has the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import RecallSandbox, Stream, ZoomApiSandbox, ZoomSandbox
from tests.conftest import ENVIRON
from tests.servers import Server, a_server, wait_for

FAULTS = (10, 11, 12, 13, 14, 15, 16, 19, 24)
WITHIN = 60.0  # seconds after a fault has passed
# What Zoom's API does at first.
API_TROUBLE: dict[str, Callable[[ZoomApiSandbox, str], None]] = {
    "429": lambda zoom_api, number: zoom_api.refuse(429, stream=number),
    "500": lambda zoom_api, number: zoom_api.refuse(500, stream=number),
    "3000 twice": lambda zoom_api, number: zoom_api.refuse(3000, stream=number, times=2),
    "nothing": lambda zoom_api, number: zoom_api.add_fault("hang", path="stream", stream=number),
}
Tell = Callable[[str], None]


@pytest.fixture
def lossy(
    environ: dict[str, str],
    recall: RecallSandbox,
    zoom_api: ZoomApiSandbox,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Server]:
    """A server with the credentials of Zoom's API, and a Zoom that delivers to it."""
    marker = request.node.get_closest_marker("environ")
    wanted = {
        **environ,
        "RECALL_BASE_URL": recall.url,
        **zoom_api.environ,
        **(marker.kwargs if marker else {}),
    }
    with a_server(wanted, tmp_path / "server.log") as server:
        endpoint = f"{server.url}/zoom-webhook"
        with ZoomSandbox(endpoint, ENVIRON["ZOOM_SECRET_TOKEN"], timeout=20) as zoom:
            zoom_api.deliver = zoom.deliver
            server.start()
            yield server


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Adds a measured gap to the test's report, which `pytest -rP` prints."""
    return lambda text: request.node.add_report_section("call", "gap", text)


def connected_at(recall: RecallSandbox, meeting: Stream, count: int) -> float:
    """Wait until a meeting was connected so often; returns when the last one was, in unix
    seconds."""

    def connections() -> list[float]:
        made = recall.connections
        return [each.created_at for each in made if each.meeting_uuid == meeting.meeting_uuid]

    wait_for(lambda: len(connections()) >= count, "Recall has the stream", seconds=90)
    assert len(connections()) == count
    return connections()[-1]


def record(zoom_api: ZoomApiSandbox, recall: RecallSandbox) -> Stream:
    """Begin a meeting whose stream is connected."""
    stream = zoom_api.begin_stream(zoom_api.begin_meeting(Stream()))
    connected_at(recall, stream, 1)
    return stream


def lose(zoom_api: ZoomApiSandbox, stream: Stream, reason: int) -> float:
    """Stop a stream with a fault; returns when, in unix seconds."""
    zoom_api.stop_stream(stream, reason)
    return time.time()


def assert_nothing_was_violated(zoom_api: ZoomApiSandbox, recall: RecallSandbox) -> None:
    assert zoom_api.violations == []
    assert not any(each.kicked_out for each in recall.connections)


def test_each_fault_of_a_stream_costs_less_than_a_minute(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox, tell: Tell
) -> None:
    streams = {reason: record(zoom_api, recall) for reason in FAULTS}
    lost = {reason: lose(zoom_api, stream, reason) for reason, stream in streams.items()}
    for reason, stream in streams.items():
        gap = connected_at(recall, stream, 2) - lost[reason]
        tell(f"stopped with reason {reason}: a gap of {gap:.1f} s")
        assert gap < WITHIN, reason
    assert_nothing_was_violated(zoom_api, recall)
    rows = {row["id"]: row for row in lossy.meetings()}
    continued = [row for row in rows.values() if row["restarted_as"]]
    assert len(continued) == len(FAULTS)
    for row in continued:
        assert rows[row["restarted_as"]]["meeting_uuid"] == row["meeting_uuid"]


def test_a_stream_that_is_lost_again_and_again_is_restarted(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox
) -> None:
    stream = record(zoom_api, recall)
    for count in (2, 3):
        lose(zoom_api, stream, 13)
        connected_at(recall, stream, count)
        (stream,) = zoom_api.meetings.streams(str(stream.meeting_id))
    assert_nothing_was_violated(zoom_api, recall)


def test_trouble_with_zooms_api_costs_less_than_a_minute(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox, tell: Tell
) -> None:
    """Each meeting meets another kind, all of them at once."""
    streams = {name: record(zoom_api, recall) for name in API_TROUBLE}
    for name, stream in streams.items():
        API_TROUBLE[name](zoom_api, str(stream.meeting_id))
    lost = {name: lose(zoom_api, stream, 13) for name, stream in streams.items()}
    for name, stream in streams.items():
        gap = connected_at(recall, stream, 2) - lost[name]
        tell(f"Zoom's API answers {name}: a gap of {gap:.1f} s")
        assert gap < WITHIN, name
    assert_nothing_was_violated(zoom_api, recall)


@pytest.mark.environ(CONNECT_WINDOW_SECONDS="2")
def test_recall_down_for_longer_than_the_window(
    lossy: Server,
    recall: RecallSandbox,
    zoom_api: ZoomApiSandbox,
    rounds: int,
    tell: Tell,
) -> None:
    outage = 180.0 if rounds > 10 else 5.0
    meeting = zoom_api.begin_meeting(Stream())
    with recall.down():
        zoom_api.begin_stream(meeting)
        down_until = time.time() + outage
        wait_for(lambda: time.time() >= down_until, "the outage is over", seconds=outage + 5)
        assert [row["state"] for row in lossy.meetings()] == ["failed"]
        # Zoom gives the stream up, too.
        zoom_api.stop_stream(meeting, 11)
    back = time.time()
    connected_at(recall, meeting, 1)
    gap = recall.connections[-1].created_at - back
    tell(f"Recall was down for {outage:.0f} s: {gap:.1f} s more are not recorded")
    assert gap < WITHIN
    assert zoom_api.violations == []
    lost, newer = sorted(lossy.meetings(), key=lambda row: row["id"])
    assert lost["restarted_as"] == newer["id"]


@pytest.mark.environ(CONNECT_WINDOW_SECONDS="2")
def test_a_server_that_is_killed_while_a_stream_breaks(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox, rounds: int, tell: Tell
) -> None:
    """The stop is delivered to nobody."""
    outage = 600.0 if rounds > 10 else 5.0
    broken, whole = record(zoom_api, recall), record(zoom_api, recall)
    lossy.kill()
    zoom_api.stop_stream(broken, 13)
    recall.end_stream(broken.rtms_stream_id)
    back_at = time.time() + outage
    wait_for(lambda: time.time() >= back_at, "the outage is over", seconds=outage + 5)
    lossy.start()
    gap = connected_at(recall, broken, 2) - back_at
    tell(f"The server was down for {outage:.0f} s: {gap:.1f} s more are not recorded")
    assert gap < WITHIN
    connected_at(recall, whole, 1)
    assert_nothing_was_violated(zoom_api, recall)


@pytest.mark.environ(START_STREAMS="missing", START_AFTER_SECONDS="1")
def test_a_meeting_whose_stream_never_came_is_recorded(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox, tell: Tell
) -> None:
    meeting = zoom_api.begin_meeting(Stream(), deliver=True)
    began = time.time()
    gap = connected_at(recall, meeting, 1) - began
    tell(f"auto-start did not fire: a gap of {gap:.1f} s")
    assert gap < WITHIN
    zoom_api.end_meeting(meeting)
    assert_nothing_was_violated(zoom_api, recall)


def test_a_meeting_that_is_over_is_not_asked_for(
    lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox
) -> None:
    stream = record(zoom_api, recall)
    zoom_api.refuse(500, times=None)
    lose(zoom_api, stream, 13)
    wait_for(lambda: zoom_api.starts(stream.meeting_id), "Zoom is asked")
    zoom_api.end_meeting(stream)
    zoom_api.clear_faults()
    # Other meetings are served: the job has not stopped.
    other = record(zoom_api, recall)
    lose(zoom_api, other, 13)
    connected_at(recall, other, 2)
    connected_at(recall, stream, 1)
    assert_nothing_was_violated(zoom_api, recall)


def test_many_meetings_that_break_at_once_cause_no_storm(
    lossy: Server,
    recall: RecallSandbox,
    zoom_api: ZoomApiSandbox,
    rounds: int,
    tell: Tell,
) -> None:
    count = 500 if rounds > 10 else 40
    with ThreadPoolExecutor(16) as pool:
        streams = list(pool.map(lambda _: record(zoom_api, recall), range(count)))
        began = time.time()
        list(pool.map(lambda stream: zoom_api.stop_stream(stream, 13), streams))
        gaps = [each - began for each in pool.map(lambda s: connected_at(recall, s, 2), streams)]
    tell(f"{count} meetings broke at once: the last gap is {max(gaps):.1f} s")
    assert max(gaps) < count / 10 + 10
    starts = [each.at for each in zoom_api.starts()]
    assert len(starts) == count
    # At most ten a second: in no window of two seconds are there more than a claim's worth above.
    busiest = max(sum(at <= other < at + 2 for other in starts) for at in starts)
    assert busiest <= 2 * 10 + 16
    assert_nothing_was_violated(zoom_api, recall)
    assert len(zoom_api.tokens.issued) <= 2  # one for each web process


def test_a_persons_requests(lossy: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox) -> None:
    stream = record(zoom_api, recall)
    number = str(stream.meeting_id)
    stopped = lossy.flask("streams", "stop", number, "--user", stream.operator_id)
    assert stopped.returncode == 0, stopped.stderr
    assert "Zoom accepted the request to stop" in stopped.stdout
    wait_for(lambda: lossy.meetings()[0]["stop_reason"] == 25, "the stop")
    restarted = lossy.flask("meetings", "restart", "1")
    assert restarted.returncode == 0, restarted.stderr
    connected_at(recall, stream, 2)
    wait_for(lambda: lossy.meetings()[1]["restarted_as"] == 2, "the restart")
    zoom_api.end_meeting(stream)
    wait_for(lambda: lossy.meetings()[0]["stop_reason"] == 6, "the end")
    refused = lossy.flask("streams", "start", number)
    assert refused.returncode == 1
    assert "no such live meeting" in refused.stderr
    listed = lossy.flask("streams", "list")
    assert "led to meeting 2" in " ".join(listed.stdout.split())
