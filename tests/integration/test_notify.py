"""Telling the user's own code: signals and NOTIFY_URL, at least once, after the commit."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from app import create_app
from config import Config, ConfigError
from models import CONNECTS, NOTIFICATIONS, Happening, Listener
from rtms import clock, signals
from rtms.jobs.notify import message as told_fields
from rtms.jobs.notify import outbox
from rtms.jobs.notify.job import next_try
from rtms.services import Services, get_services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_dashboard_meetings import DAY, put
from tests.integration.test_restart_chain import restarted

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdXNlcidzIG93biBob29r"


def told(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.id)))


def make_due(services: Services) -> None:
    services.database.write(lambda c: c.execute(NOTIFICATIONS.update().values(due_at=clock.now())))


@pytest.fixture
def heard() -> Iterator[list[tuple[str, Any, Any]]]:
    """What a subscriber of every signal hears: the signal's name, the meeting, the recording."""
    calls: list[tuple[str, Any, Any]] = []
    receivers = []
    for name in Happening:

        def receive(sender: Flask, *, meeting: Any, recording: Any, name: str = str(name)) -> None:
            calls.append((name, meeting, recording))

        getattr(signals, name).connect(receive)
        receivers.append((name, receive))
    yield calls
    for name, receive in receivers:
        getattr(signals, name).disconnect(receive)


def live_through(zoom: Zoom, recall: RecallSandbox, services: Services, rows: Rows) -> Stream:
    """A meeting from its start to its recording."""
    recall.set(processing_seconds=0.0)
    stream = Stream()
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meetings()[-1].state == "connected")
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    assert services.dispatcher
    services.dispatcher.wake("refresh")
    wait_for(lambda: rows.meetings()[-1].state == "done")
    return stream


@pytest.mark.environ(EXTENSIONS="json")  # any module: the tests connect by themselves
def test_a_meetings_life_is_signalled(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    heard: list[tuple[str, Any, Any]],
) -> None:
    services.start_dispatcher()
    live_through(zoom, recall, services, rows)
    wait_for(lambda: len(heard) == 3)
    said = {name: (meeting, recording) for name, meeting, recording in heard}
    # In no promised order.
    assert set(said) == {"stream_connected", "recording_done", "transcript_done"}
    meeting, nothing = said["stream_connected"]
    assert (meeting.id, nothing) == (1, None)
    _, recording = said["recording_done"]
    assert recording.status == "done"
    assert recording.recall_recording_id == recall.connections[0].recording_id
    wait_for(lambda: all(one.told_at for one in told(services)))


@pytest.mark.environ(EXTENSIONS="json", CONNECT_WINDOW_SECONDS="2")
@pytest.mark.parametrize("status", [402, 503])
def test_a_stream_that_is_not_connected_is_signalled(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    heard: list[tuple[str, Any, Any]],
    status: int,
) -> None:
    recall.add_fault(Fault(kind="status", status=status, path="create", times=None))
    services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: heard)
    ((name, meeting, _),) = heard
    assert (name, meeting.state) == ("stream_failed", "failed")


@pytest.mark.environ(EXTENSIONS="json")
def test_a_subscriber_that_raises_is_called_again_and_stops_nothing(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    calls = []

    def raise_once(sender: Flask, **_: Any) -> None:
        calls.append(sender)
        if len(calls) == 1:
            raise RuntimeError("the user's own bug")

    with signals.stream_connected.connected_to(raise_once):
        services.start_dispatcher()
        zoom.deliver(events.started(Stream()))
        one = wait_for(lambda: (all_ := told(services)) and all_[0].last_error and all_[0])
        assert "RuntimeError" in one.last_error
        assert timedelta(seconds=3) < one.due_at - clock.now() < timedelta(seconds=6)
        assert rows.meeting().state == "connected"
        make_due(services)
        one = wait_for(lambda: (now := told(services)[0]).told_at and now)
        assert (one.attempts, one.last_error, one.due_at) == (2, None, None)
    assert calls == [services.app, services.app]


def test_nobody_who_listens_nothing_noted(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meeting().state == "connected")
    assert told(services) == []


def test_extensions_are_imported_at_start(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_subscribers.py").write_text("IMPORTED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    app = create_app(Config.from_environ({**environ, "EXTENSIONS": "my_subscribers"}))
    import my_subscribers  # type: ignore[import-not-found]

    assert my_subscribers.IMPORTED
    get_services(app).database.dispose()


def test_an_extension_that_is_not_there_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="EXTENSIONS: nope_module cannot be imported"):
        create_app(Config.from_environ({**environ, "EXTENSIONS": "nope_module"}))


def test_telling_is_tried_for_a_day_with_waits_that_grow() -> None:
    began = clock.now()
    now, attempts, waits = began, 0, []
    while True:
        attempts += 1
        due_at = next_try(attempts=attempts, created_at=began, now=now)
        if due_at is None:
            break
        waits.append((due_at - now).total_seconds())
        now = due_at
    assert waits[:4] == [5, 10, 20, 40]
    assert waits == sorted(waits)
    assert max(waits) == 3600
    assert timedelta(hours=22) < now - began <= timedelta(hours=24)


# ---- NOTIFY_URL


class Hook:
    """The user's own web server: what it got, and what it answers next."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(hook.answers.pop(0) if hook.answers else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    if "hook" in request.fixturenames:
        url = request.getfixturevalue("hook").url
        return {**environ, "NOTIFY_URL": url, "NOTIFY_SECRET": SECRET}
    return environ


def test_notify_url_gets_the_events_signed(
    hook: Hook, recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    stream = live_through(zoom, recall, services, rows)
    wait_for(lambda: len(hook.got) == 3)
    bodies = [Webhook(SECRET).verify(raw, headers) for headers, raw in hook.got]
    bodies.sort(key=lambda body: str(body["type"]))  # in no promised order
    bodies = [bodies[1], bodies[0], bodies[2]]
    assert [body["type"] for body in bodies] == [
        "stream_connected",
        "recording_done",
        "transcript_done",
    ]
    assert bodies[0]["data"]["meeting"]["rtms_stream_id"] == stream.rtms_stream_id
    assert bodies[0]["data"]["recording"] is None
    assert bodies[1]["data"]["recording"]["status"] == "done"
    assert bodies[1]["data"]["recording"]["media"]["video_mixed"] == "done"
    assert set(bodies[0]) == {"type", "version", "timestamp", "data"}
    for body in bodies:
        assert set(body["data"]["meeting"]) == set(told_fields.MEETING_FIELDS)
    assert set(bodies[1]["data"]["recording"]) == set(told_fields.RECORDING_FIELDS)
    ids = [headers["webhook-id"] for headers, _ in hook.got]
    assert len(set(ids)) == 3
    assert not any(one in ("msg_1", "msg_2") for one in ids)
    assert "http" not in json.dumps(bodies[1]["data"])


def test_a_restarted_stream_names_the_one_it_goes_on_from(hook: Hook, services: Services) -> None:
    lost_at = DAY + timedelta(minutes=2)
    put(services, {"stopped_at": lost_at}, {"connected_at": lost_at + timedelta(seconds=14.2)})
    restarted(services, (1, 2))

    def notify(connection: sa.Connection) -> None:
        for id in (1, 2):
            to = (Listener.NOTIFY_URL,)
            outbox.put(connection, to, Happening.STREAM_CONNECTED, id, now=clock.now())

    services.database.write(notify)
    services.start_dispatcher()
    wait_for(lambda: len(hook.got) == 2)
    meetings = [json.loads(raw)["data"]["meeting"] for _, raw in hook.got]
    fields = ("id", "restarted_as", "restart_of", "gap_seconds")
    assert sorted([one[name] for name in fields] for one in meetings) == [
        [1, 2, None, None],
        [2, None, 1, 14.2],
    ]


def test_a_hook_that_fails_gets_the_same_message_again(
    hook: Hook, recall: RecallSandbox, zoom: Zoom, services: Services
) -> None:
    hook.answers = [500, 302]
    services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    for status in (500, 302):
        one = wait_for(
            lambda status=status: (
                (all_ := told(services))  # type: ignore[misc]
                and str(status) in (all_[0].last_error or "")
                and all_[0]
            )
        )
        assert (one.told_at, one.lease_owner) == (None, None)
        make_due(services)
    wait_for(lambda: told(services)[0].told_at)
    ids = {headers["webhook-id"] for headers, _ in hook.got}
    assert (len(hook.got), len(ids)) == (3, 1)


@pytest.mark.environ(
    NOTIFY_URL="http://user:s3cr3t-pass@127.0.0.1:1/hook?token=s3cr3t-token", NOTIFY_SECRET=SECRET
)
def test_what_is_stored_of_a_hook_that_is_away_holds_no_secret(
    recall: RecallSandbox, zoom: Zoom, services: Services
) -> None:
    with capture_logs() as lines:
        services.start_dispatcher()
        zoom.deliver(events.started(Stream()))
        one = wait_for(lambda: (all_ := told(services)) and all_[0].last_error and all_[0])
        wait_for(lambda: any(line["event"] == "not notified yet" for line in lines))
    assert one.last_error == "NOTIFY_URL did not answer: the connection failed or was reset."
    assert "s3cr3t" not in str(one) + str(lines)


@pytest.mark.environ(NOTIFY_URL=f"https://{'s3cr3t-' * 12}.example/", NOTIFY_SECRET=SECRET)
def test_a_hook_whose_name_no_network_takes_is_no_subscriber_that_raised(
    recall: RecallSandbox, zoom: Zoom, services: Services
) -> None:
    with capture_logs() as lines:
        services.start_dispatcher()
        zoom.deliver(events.started(Stream()))
        one = wait_for(lambda: (all_ := told(services)) and all_[0].last_error and all_[0])
        wait_for(lambda: any(line["event"] == "not notified yet" for line in lines))
    why = "NOTIFY_URL was not called: its address or a header is invalid"
    assert one.last_error.startswith(why)
    assert "s3cr3t" not in str(one) + str(lines)


@on_one_engine
@pytest.mark.parametrize(
    "wrong",
    [
        {"NOTIFY_URL": "example.com", "NOTIFY_SECRET": SECRET},
        {"NOTIFY_URL": "https://example.com"},
        {"NOTIFY_URL": "https://example.com", "NOTIFY_SECRET": "whsec_%%%"},
        {"EXTENSIONS": "my-module"},
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], wrong: dict[str, str]) -> None:
    with pytest.raises(Exception, match=r"NOTIFY_|EXTENSIONS"):
        Config.from_environ({**environ, **wrong})
