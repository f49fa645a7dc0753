"""A stand-in for Zoom's API and its token endpoint: a real HTTP server on loopback.

    with ZoomApiSandbox(rtms_client_id="...", deliver=zoom.deliver) as zoom_api:
        ...  # ZOOM_API_URL=zoom_api.api_url, ZOOM_OAUTH_URL=zoom_api.oauth_url, ZOOM_S2S_*
        stream = zoom_api.begin_stream(zoom_api.begin_meeting(events.Stream()))
        zoom_api.stop_stream(stream, reason=13)  # and then the server may ask for it again

It starts and stops streams as Zoom documents, refuses on request, and records all requests.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from sandbox import events, trouble
from sandbox.events import Body, Stream
from sandbox.faults import KINDS, Fault, FaultBook
from sandbox.live_meetings import LiveMeetings
from sandbox.wire import Answer, Request, Server
from sandbox.zoom_tokens import SCOPE, USER_SCOPE, Tokens

_STATUS_PATH = re.compile(r"/v2/live_meetings/([^/]+)/rtms_app/status")

#: Zoom's error codes: the answer's status, and its message.
REFUSALS: dict[int, tuple[int, str]] = {
    124: (401, "Invalid access token."),
    300: (400, "Request Body should be a valid JSON object."),
    2308: (400, "The participant is not the host, an alternative host or a joined invitee."),
    2310: (400, "The account has no active Zoom Developer Pack."),
    3000: (400, "Cannot access meeting info."),
    4711: (400, f"Invalid access token, does not contain scopes:[{SCOPE}]."),
    429: (429, "You have exceeded the rate limit."),
    500: (500, "Internal error."),
}


@dataclass
class ApiRequest:
    """A request. It contains no token and no secret."""

    at: float  # arrival, unix seconds
    path: str
    meeting_id: str | None = None
    action: str | None = None
    user_id: str | None = None  # whose stream
    status: int | str | None = None  # None: not answered yet; "reset", "hang"
    fault: str | None = None  # the kind of fault that affected it


class ZoomApiSandbox:
    """The stand-in. Threads may share it."""

    def __init__(
        self,
        *,
        account_id: str = "sandboxAccountAAAAAAAA",
        client_id: str = "sandbox-s2s-client-id",
        client_secret: str = "sandbox-s2s-client-secret",
        rtms_client_id: str = "sandbox-client-id",
        rtms_client_secret: str = "sandbox-client-secret",
        host: str = "127.0.0.1",
        port: int = 0,
        token_seconds: int = 3600,
        scopes: tuple[str, ...] = (SCOPE,),
        start_seconds: float = 0.0,
        deliver: Callable[[Body], object] | None = None,
    ) -> None:
        """Listen on ``port`` (0: any free one).

        ``account_id``, ``client_id`` and ``client_secret`` are the Server-to-Server OAuth app's,
        and ``rtms_client_id`` and ``rtms_client_secret`` those of the app whose streams are started
        and that users add. ``token_seconds`` is the life of a token, ``start_seconds`` the time
        from an accepted request to the event, and ``deliver`` sends an event, such as
        ``ZoomSandbox.deliver``.
        """
        self.account_id, self.client_id = account_id, client_id
        self.client_secret, self.rtms_client_id = client_secret, rtms_client_id
        self.start_seconds, self.deliver = start_seconds, deliver
        app = (rtms_client_id, rtms_client_secret)
        self.tokens = Tokens(account_id, client_id, client_secret, token_seconds, scopes, app)
        self.meetings = LiveMeetings()
        self._faults = FaultBook()
        self._lock = threading.Lock()
        self._requests: list[ApiRequest] = []
        self._senders: list[threading.Thread] = []
        self._server = Server((host, port), self._answer)
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self.api_url, self.oauth_url = f"{self.url}/v2", f"{self.url}/oauth"

    def start(self) -> Self:
        """Serve in a daemon thread."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving, close all connections, and wait for the events that are being sent."""
        self._server.stop()
        for sender in self._senders:
            sender.join(5)

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
    def environ(self) -> dict[str, str]:
        """The variables that make a server use this stand-in."""
        return {
            "ZOOM_S2S_ACCOUNT_ID": self.account_id,
            "ZOOM_S2S_CLIENT_ID": self.client_id,
            "ZOOM_S2S_CLIENT_SECRET": self.client_secret,
            "ZOOM_API_URL": self.api_url,
            "ZOOM_OAUTH_URL": self.oauth_url,
        }

    @property
    def ledger(self) -> list[ApiRequest]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return [replace(each) for each in self._requests]

    def starts(self, meeting_id: int | str | None = None) -> list[ApiRequest]:
        """Return the requests to start a stream, of one meeting or of all."""
        return [
            each
            for each in self.ledger
            if each.action == "start" and meeting_id in (None, each.meeting_id, _int(each))
        ]

    @property
    def violations(self) -> list[str]:
        """Every start that should not have been requested, in words."""
        return self.meetings.violations

    def add_fault(self, fault: Fault | str, **parameters: Any) -> None:
        """Arm a Fault, or one of this kind with these parameters.

        Its ``path`` is "token" or "stream" (starts and stops), its ``stream`` a meeting's number.
        """
        self._faults.add(Fault(kind=fault, **parameters) if isinstance(fault, str) else fault)

    def refuse(self, code: int, **parameters: Any) -> None:
        """Refuse starts and stops with one of Zoom's codes (``REFUSALS``), once by default."""
        status, message = REFUSALS[code]
        body = json.dumps({"code": code, "message": message})
        self.add_fault("status", path="stream", status=status, body=body, **parameters)

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._faults.clear()

    def begin_meeting(self, meeting: Stream, *, deliver: bool = False) -> Stream:
        """Begin a meeting, and send ``meeting.started`` on request. Streams can be started now."""
        self.meetings.begin(meeting)
        if deliver:
            self._send(events.meeting_started(meeting))
        return meeting

    def begin_stream(self, stream: Stream) -> Stream:
        """Start a stream as auto-start does, and send ``meeting.rtms_started``."""
        self.meetings.add_stream(stream)
        self._send(events.started(stream))
        return stream

    def stop_stream(self, stream: Stream, reason: int) -> None:
        """Stop a stream, and send ``meeting.rtms_stopped``."""
        self.meetings.remove_stream(stream)
        self._send(events.stopped(stream, reason))

    def end_meeting(self, meeting: Stream, *, deliver: bool = True) -> None:
        """End a meeting: its streams stop with reason 6, and ``meeting.ended`` is sent.

        Once the server has accepted ``meeting.ended``, a request to start is a violation.
        """
        for stream in self.meetings.end(meeting):
            self._send(events.stopped(stream, 6))
        if deliver:
            self._send(events.meeting_ended(meeting))
            self.meetings.tell_end(meeting)

    def _send(self, body: Body) -> None:
        if self.deliver is not None:
            self.deliver(body)

    def _send_later(self, body: Body) -> None:
        def send() -> None:
            self._server.stopping.wait(self.start_seconds)
            self._send(body)

        sender = threading.Thread(target=send, daemon=True)
        self._senders.append(sender)
        sender.start()

    def _answer(self, request: Request) -> Answer:
        entry = ApiRequest(time.time(), request.path)
        with self._lock:
            self._requests.append(entry)
        answer = self._through_fault(request, entry)
        whole = answer.manner not in ("reset", "hang")
        with self._lock:
            entry.status = answer.status if whole else answer.manner
        return answer

    def _through_fault(self, request: Request, entry: ApiRequest) -> Answer:
        match = _STATUS_PATH.fullmatch(request.path)
        where = "stream" if match else request.path.rpartition("/")[2]
        if match:
            self._note(entry, match[1], request)
        fault = self._faults.take(request.method, where, entry.meeting_id)
        if fault is None:
            return self._decide(request, entry)
        entry.fault = fault.kind
        self._server.stopping.wait(fault.delay + (fault.seconds or 0) * (fault.kind == "latency"))
        works = KINDS[fault.kind] != "none"
        return trouble.seen_through(fault, self._decide(request, entry) if works else Answer(200))

    def _note(self, entry: ApiRequest, meeting_id: str, request: Request) -> None:
        body = _json(request.body)
        settings = body.get("settings")
        with self._lock:
            entry.meeting_id, entry.action = meeting_id, body.get("action")
            if isinstance(settings, dict):
                entry.user_id = settings.get("participant_user_id")
        if entry.action == "start":
            self.meetings.judge_start(meeting_id, entry.user_id)

    def _decide(self, request: Request, entry: ApiRequest) -> Answer:
        if request.method == "POST" and request.path == "/oauth/token":
            form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
            return self.tokens.answer(request.headers.get("Authorization", ""), form)
        if request.method == "PATCH" and entry.meeting_id is not None:
            return self._change_stream(request, entry)
        if request.method == "GET" and request.path == "/v2/users/me":
            return self._user(request)
        return Answer.of_json(404, {"code": 404, "message": "Not found."})

    def _user(self, request: Request) -> Answer:
        rights = self.tokens.rights_of(request.headers.get("Authorization", ""))
        if rights is None or rights.user is None:
            return refusal(124)
        return Answer.of_json(200, asdict(rights.user))

    def _change_stream(self, request: Request, entry: ApiRequest) -> Answer:
        rights = self.tokens.rights_of(request.headers.get("Authorization", ""))
        if rights is None:
            return refusal(124)
        if not {SCOPE, USER_SCOPE}.intersection(rights.scopes):
            return refusal(4711)
        body = _json(request.body)
        settings = body.get("settings")
        if not isinstance(settings, dict) or settings.get("client_id") != self.rtms_client_id:
            return refusal(300)
        meeting_id = entry.meeting_id or ""
        if not self.meetings.is_live(meeting_id, rights.account_id):
            return refusal(3000)
        if entry.action == "start":
            started = self.meetings.start_stream(meeting_id, entry.user_id)
            if started is not None:
                self._send_later(events.started(started))
        elif entry.action == "stop":
            for stream in self.meetings.stop_streams(meeting_id, entry.user_id):
                self._send_later(events.stopped(stream, 25))
        else:
            return refusal(300)
        return Answer(204)


def refusal(code: int) -> Answer:
    """Return Zoom's refusal with a code."""
    status, message = REFUSALS[code]
    return Answer.of_json(status, {"code": code, "message": message})


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _int(request: ApiRequest) -> int | None:
    number = request.meeting_id or ""
    return int(number) if number.isdecimal() else None
