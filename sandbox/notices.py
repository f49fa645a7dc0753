"""Recall's status webhooks: recordings and transcripts, signed as Standard Webhooks.

Recall repeats a webhook until it is answered with a 2xx (Recall: status webhooks).
"""

import base64
import hashlib
import heapq
import hmac
import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.connections import Connection, iso

#: Seconds before each repetition: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
SCHEDULE = (5, 300, 1800, 7200, 18000, 36000, 36000)
TIMEOUT = 15.0  # seconds that the receiver has to answer


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return ``v1,<base64>`` for a ``whsec_`` secret (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


@dataclass
class Notice:
    """A webhook, and the result of each attempt: a status, or the error's name."""

    id: str
    event: str
    body: bytes
    attempts: tuple[int | str, ...] = ()

    @property
    def arrived(self) -> bool:
        """Whether the receiver accepted it."""
        last = self.attempts[-1] if self.attempts else None
        return isinstance(last, int) and 200 <= last < 300


class Notifier:
    """Sends notices when they are due, from its own thread."""

    def __init__(self, url: str | None, secret: str | None, scale: float) -> None:
        """Send to ``url`` if it is given, and repeat after SCHEDULE times ``scale``."""
        if url and not secret:
            raise ValueError("a webhook_url needs a webhook_secret (whsec_...)")
        self._url, self._secret, self._scale = url, secret or "", scale
        self._due: list[tuple[float, int, Notice]] = []
        self._count = itertools.count()
        self._change = threading.Condition()
        self._stopped = False
        self._sent: list[Notice] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.header_prefix = "webhook"  # "svix" for workspaces made before 15 December 2025

    @property
    def notices(self) -> list[Notice]:
        """Every notice that was due so far, in the order of its first attempt."""
        with self._change:
            return list(self._sent)

    def start(self) -> None:
        """Start sending, if there is a URL."""
        if self._url:
            self._thread.start()

    def stop(self) -> None:
        """Stop sending, and drop what is due."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT + 1)

    def recording_of(self, connection: Connection) -> None:
        """Send the status of the recording of a connection that has ended."""
        if connection.ending == "deleted":
            self.send(*_notice("recording", "deleted", connection))
            return
        self.send(*_notice("recording", "processing", connection))
        wait = connection.processing_seconds
        self.send(*_notice("recording", connection.ending, connection), wait)
        code, _ = connection.media.get("transcript", (connection.ending, 0.0))
        if code is not None:
            self.send(*_notice("transcript", code, connection), wait)

    def medium_of(self, connection: Connection, kind: str, code: str) -> None:
        """Send the status of a medium of a connection's recording."""
        self.send(*_notice(kind, code, connection))

    def send(self, event: str, data: dict[str, Any], wait: float = 0.0) -> None:
        """Send an event after ``wait`` seconds."""
        if not self._url:
            return
        body = json.dumps({"event": event, "data": data}).encode()
        self._push(Notice(f"msg_{uuid.uuid4().hex}", event, body), wait)

    def _push(self, notice: Notice, wait: float) -> None:
        with self._change:
            item = (time.monotonic() + wait, next(self._count), notice)
            heapq.heappush(self._due, item)
            self._change.notify_all()

    def _next(self) -> Notice | None:
        with self._change:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    notice = heapq.heappop(self._due)[2]
                    if not notice.attempts:
                        self._sent.append(notice)
                    return notice
                self._change.wait(wait)
        return None

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (notice := self._next()) is not None:
                notice.attempts += (self._attempt(session, notice),)
                tries = len(notice.attempts)
                if not notice.arrived and tries <= len(SCHEDULE):
                    self._push(notice, SCHEDULE[tries - 1] * self._scale)

    def _attempt(self, session: requests.Session, notice: Notice) -> int | str:
        stamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            f"{self.header_prefix}-id": notice.id,
            f"{self.header_prefix}-timestamp": str(stamp),
            f"{self.header_prefix}-signature": sign(self._secret, notice.id, stamp, notice.body),
        }
        try:
            answer = session.post(
                self._url or "",
                data=notice.body,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return type(error).__name__
        return answer.status_code


def _notice(kind: str, code: str, connection: Connection) -> tuple[str, dict[str, Any]]:
    recorded = {
        "id": connection.recording_id,
        "metadata": connection.recording_config.get("metadata") or {},
    }
    data: dict[str, Any] = {
        "data": {"code": code, "sub_code": connection.sub_code, "updated_at": iso(time.time())},
        "recording": recorded,
        "meeting_direct_connect": {"id": connection.id, "metadata": connection.metadata or {}},
    }
    if kind != "recording":
        data[kind] = {"id": connection.medium_id(kind), "metadata": recorded["metadata"]}
    return f"{kind}.{code}", data
