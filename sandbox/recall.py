"""A stand-in for Recall.ai's Meeting Direct Connect: a real HTTP server on loopback.

    with RecallSandbox() as recall:
        ...  # RECALL_BASE_URL=recall.url, RECALL_API_KEY="sandbox-key"
        recall.end_stream("609340fb2a7946909659956c8aa9250c")

It behaves as Recall documents, injects faults on request, and records all requests.
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from sandbox import storage, trouble
from sandbox.connections import Connection, Connections, Ending
from sandbox.control import Control
from sandbox.create import Creates, Result
from sandbox.faults import Fault, FaultBook
from sandbox.idempotency import KeyBook, SlidingLimit
from sandbox.ledger import Entry, Ledger, summary
from sandbox.media import Links
from sandbox.notices import Notifier
from sandbox.wire import Answer, Request, Server

Limit = tuple[int, float]  # (count, seconds)
PATH = re.compile(r"/api/v1/meeting_direct_connect(?:/([^/]+))?/?")
RECORDING_PATH = re.compile(r"/api/v1/recording/([^/]+)/?")
AUDIO_PATH = re.compile(r"/api/v1/audio_mixed/?")
MEDIA_PATH = re.compile(r"/media/([0-9a-f-]+)/([\w.-]+)")
PAGE_SIZE = 100


class RecallSandbox:
    """The stand-in. Create it, ``start`` it, and control it from Python or over ``/_sandbox``."""

    def __init__(
        self,
        api_key: str = "sandbox-key",
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        limit: Limit | None = None,
        link_seconds: float = 3600.0,
        *,
        retrieve_limit: Limit | None = None,
        idempotency_seconds: float = 3600.0,
        processing_seconds: float = 0.2,
        video_bytes: int | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        webhook_scale: float = 1 / 1000,
    ) -> None:
        """Listen on ``port`` (0: any free one).

        ``latency`` is the seconds that a create's work, a retrieve or a list takes; ``limit`` the
        successful creates and ``retrieve_limit`` the retrieves allowed in a sliding window;
        ``link_seconds`` the life of a pre-signed link; ``idempotency_seconds`` how long an answer
        is kept under its key; ``processing_seconds`` how long a recording takes after the stream's
        end; ``video_bytes`` the size of a synthetic video instead of the real small one. With the
        Zoom app's ``client_id`` and ``client_secret`` the join signature is checked, and the result
        kept as ``signature_ok``. With ``webhook_url`` status webhooks are sent, and repeated on
        Recall's schedule times ``webhook_scale``.
        """
        self.api_key = api_key
        self.retrieve_limit = SlidingLimit(retrieve_limit)
        self.video_bytes = video_bytes
        self.audio_a_page = PAGE_SIZE
        self.links = Links(link_seconds)
        self.notifier = Notifier(webhook_url, webhook_secret, webhook_scale)
        self._ledger = Ledger()
        self._faults = FaultBook()
        self._connections = Connections(client_id, client_secret)
        self.creates = Creates(
            ledger=self._ledger,
            faults=self._faults,
            keys=KeyBook[Result](idempotency_seconds),
            limit=SlidingLimit(limit),
            connections=self._connections,
            pause=self._pause,
            ended=self.notifier.recording_of,
            latency=latency,
            processing_seconds=processing_seconds,
        )
        self._control = Control(self, self._ledger, self._faults, self._connections)
        self._server = Server((host, port), self._answer)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Serve in a daemon thread."""
        self._server.start()
        self.notifier.start()
        return self

    def stop(self) -> None:
        """Stop serving, and close all connections."""
        self._server.stop()
        self.notifier.stop()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections for the duration, like a host that is down."""
        self._server.go_down()
        try:
            yield
        finally:
            self._server.come_back()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def ledger(self) -> list[Entry]:
        """Every request so far except control requests, in order of arrival."""
        return self._ledger.entries()

    @property
    def connections(self) -> list[Connection]:
        """Every connection made so far, oldest first."""
        return self._connections.all()

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return, per rtms_stream_id, the creates and their outcomes."""
        return summary(self.ledger)

    def add_fault(self, fault: Fault | str, **parameters: Any) -> None:
        """Arm a Fault, or one of this kind with these parameters."""
        self._faults.add(Fault(kind=fault, **parameters) if isinstance(fault, str) else fault)

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._faults.clear()

    def end_stream(
        self, stream_id: str, ending: Ending = "done", sub_code: str | None = None
    ) -> bool:
        """End a stream. Its recording is ready ``processing_seconds`` later.

        Called again, it changes the status of the last recording, for instance to "deleted".
        """
        connection = self._connections.end(stream_id, ending, sub_code)
        if connection is not None:
            self.notifier.recording_of(connection)
        return connection is not None

    def name_meeting(self, meeting_uuid: str, title: str) -> None:
        """Set the title of the recordings of a meeting that is not connected yet."""
        self._connections.name_meeting(meeting_uuid, title)

    def change_medium(self, stream_id: str, kind: str, status: str | None) -> bool:
        """Set the status of one medium of a stream's recording, independently of the others.

        ``kind`` is ``transcript`` or another of ``sandbox.connections.MEDIA``; ``status`` is
        processing, done, failed or deleted, or None if there is no such medium. A transcript that
        changes from None to done was made after the meeting.
        """
        connection = self._connections.change_medium(stream_id, kind, status)
        if connection is None:
            return False
        if status is not None and connection.ended_at is not None:
            event = "audio_mixed" if kind.startswith("audio_mixed") else kind
            self.notifier.medium_of(connection, event, status)
        return True

    def expire_links(self) -> None:
        """Expire every pre-signed link created so far."""
        self.links.expire()

    def set(self, **settings: Any) -> None:
        """Change settings while it runs.

        The settings are latency, limit, retrieve_limit, processing_seconds, link_seconds,
        audio_shortcut (false: new connections do not list audio_mixed among their shortcuts) and
        audio_a_page (how many audio_mixed are on a page of their list).
        """
        for name, value in settings.items():
            if name in ("latency", "processing_seconds"):
                setattr(self.creates, name, float(value))
            elif name == "audio_shortcut":
                self.creates.audio_shortcut = bool(value)
            elif name == "audio_a_page":
                self.audio_a_page = int(value)
            elif name == "link_seconds":
                self.links.seconds = float(value)
            elif name in ("limit", "retrieve_limit"):
                holder = self.creates.limit if name == "limit" else self.retrieve_limit
                holder.limit = None if value is None else (int(value[0]), float(value[1]))
            else:
                raise ValueError(f"there is no setting {name}")

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and self._server.stopping.wait(seconds):
            raise ConnectionAbortedError("the stand-in for Recall was stopped")

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/_sandbox/"):
            return self._control.answer(request)
        authorization = "Authorization" in request.headers
        entry = self._ledger.open(request.method, request.path, authorization=authorization)
        result = self._result(request, entry)
        manner = result.answer.manner
        self._ledger.note(
            entry,
            answered_at=time.time(),
            status=manner if manner in ("reset", "hang") else result.answer.status,
            outcome=result.outcome,
        )
        return result.answer

    def _result(self, request: Request, entry: Entry) -> Result:
        if media := MEDIA_PATH.fullmatch(request.path):
            return self._through_fault(request, entry, "media", *media.groups())
        if request.method in ("GET", "HEAD") and request.body:
            return Result(trouble.firewall(), "blocked")
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Token {self.api_key}".encode()):
            return Result(Answer.of_json(401, trouble.DETAILS[401]), "unauthorized")
        if AUDIO_PATH.fullmatch(request.path) and request.method in ("GET", "HEAD"):
            return self._through_fault(request, entry, "audio")
        if (deleted := RECORDING_PATH.fullmatch(request.path)) and request.method == "DELETE":
            return self._through_fault(request, entry, "delete", deleted[1])
        match = PATH.fullmatch(request.path)
        if match is None:
            return Result(Answer.of_json(404, {"detail": "Not found."}), "not_found")
        connection_id = match[1]
        if connection_id is None and request.method == "POST":
            return self.creates.answer(request, entry, given)
        if request.method not in ("GET", "HEAD"):
            detail = f'Method "{request.method}" not allowed.'
            return Result(Answer.of_json(405, {"detail": detail}, Allow="GET, POST"), "refused")
        if connection_id is None:
            return self._through_fault(request, entry, "list")
        return self._through_fault(request, entry, "retrieve", connection_id)

    def _through_fault(self, request: Request, entry: Entry, kind: str, *names: str) -> Result:
        """Answer a request that changes nothing: a retrieve, a list or a download."""
        connection = None
        if kind == "media":
            connection = self._connections.of_medium(names[0])
        elif kind == "retrieve":
            connection = self._connections.get(names[0])
        elif kind == "delete":
            connection = self._connections.of_recording(names[0])
        elif kind == "audio":
            asked = parse_qs(request.query).get("recording_id", [""])
            connection = self._connections.of_recording(asked[0])
        stream = connection.stream_id if connection else None
        fault = self._faults.take(request.method, kind, stream)
        self._ledger.note(
            entry,
            stream_id=stream,
            connection_id=connection.id if connection else None,
            fault=fault.kind if fault else None,
            range=request.headers.get("Range"),
        )
        if fault is not None:
            self._pause(fault.delay + (fault.seconds or 0) * (fault.kind == "latency"))
        if kind == "media":
            answer, outcome = storage.serve(
                request, self.links, connection, names[0], names[1], self.video_bytes
            )
            result = Result(answer, outcome)
        else:
            self._pause(self.creates.latency)
            if kind == "list":
                result = self._page(request)
            elif kind == "delete":
                result = self._delete(connection if fault is None else None)
            else:
                result = self._retrieve(connection, request if kind == "audio" else None)
        if fault is None:
            return result
        changed = fault.kind not in ("latency", "headers")
        outcome = f"fault:{fault.kind}" if changed else result.outcome
        return replace(result, answer=trouble.seen_through(fault, result.answer), outcome=outcome)

    def _link(self, medium_id: str, name: str) -> str:
        return self.url + self.links.make(medium_id, name)

    def _retrieve(self, connection: Connection | None, audio: Request | None = None) -> Result:
        """Return a connection, or a page of the audio of its recording."""
        if wait := self.retrieve_limit.refuse():
            detail = f"Request was throttled. Expected available in {wait} seconds."
            answer = Answer.of_json(429, {"detail": detail}, Retry_After=str(wait))
            return Result(answer, "rate_limited")
        if audio is not None:
            return self._audio(connection, audio)
        if connection is None:
            return Result(Answer.of_json(404, {"detail": "Not found."}), "not_found")
        value = connection.as_recall(time.time(), self._link)
        return Result(Answer.of_json(200, value), "served")

    def _delete(self, connection: Connection | None) -> Result:
        """Delete a recording with its media."""
        if connection is None or connection.ending == "deleted":
            return Result(Answer.of_json(404, {"detail": "Not found."}), "not_found")
        self.end_stream(connection.stream_id, "deleted")
        return Result(Answer(204), "deleted")

    def _audio(self, connection: Connection | None, request: Request) -> Result:
        """Return a page of the mixed audio of a recording. A cursor is the place it begins at."""
        made = connection.audio(self._link) if connection else []
        asked = parse_qs(request.query)
        at, size = int(asked.get("cursor", ["0"])[0]), self.audio_a_page
        rest = f"recording_id={asked.get('recording_id', [''])[0]}"
        more = f"{self.url}{request.path}?cursor={at + size}&{rest}"
        value = {
            "next": more if len(made) > at + size else None,
            "previous": None,
            "results": made[at : at + size],
        }
        return Result(Answer.of_json(200, value), "served")

    def _page(self, request: Request) -> Result:
        """Return connections, newest first. A cursor names the place where its page begins."""
        asked = parse_qs(request.query)
        made = self._connections.all()
        try:
            size = max(1, min(PAGE_SIZE, int(asked.get("page_size", [str(PAGE_SIZE)])[0])))
            cursor = asked.get("cursor")
            end = int(base64.urlsafe_b64decode(cursor[0])) if cursor else len(made)
        except (ValueError, binascii.Error):
            return Result(Answer.of_json(404, {"detail": "Invalid cursor."}), "refused")

        def page(at: int) -> str:
            cursor = base64.urlsafe_b64encode(str(at).encode()).decode()
            return f"{self.url}{request.path}?cursor={cursor}&page_size={size}"

        start, now = max(0, end - size), time.time()
        value = {
            "next": page(start) if start > 0 else None,
            "previous": page(min(len(made), end + size)) if end < len(made) else None,
            "results": [each.as_recall(now, self._link) for each in reversed(made[start:end])],
        }
        return Result(Answer.of_json(200, value), "served")
