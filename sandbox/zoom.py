"""A stand-in for Zoom: sends signed deliveries the way Zoom does (Zoom: using webhooks).

    zoom = ZoomSandbox("http://127.0.0.1:8000/zoom-webhook", "secret token")
    assert zoom.validate().ok
    zoom.deliver(events.started(events.Stream()))

What it sends is built in ``sandbox.events``.
"""

import hashlib
import hmac
import http.client
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

#: Seconds until each redelivery: +5 min, then +20 min, then +60 min (Zoom: webhook delays).
REDELIVERIES = (300.0, 1200.0, 3600.0)


def stringify(value: Any) -> bytes:
    """Return JSON like JavaScript's JSON.stringify: compact, with only lone surrogates escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda each: f"\\u{ord(each[0]):04x}", text).encode()


def sign(secret_token: str, timestamp: int | str, body: bytes) -> str:
    """Return x-zm-signature: HMAC-SHA256 over ``v0:<unix seconds>:<body>``."""
    message = f"v0:{timestamp}:".encode() + body
    return "v0=" + hmac.new(secret_token.encode(), message, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Delivery:
    """An attempt to deliver, and its result."""

    status: int | None  # None: no answer
    answer: str  # the answer's body
    seconds: float  # from the first byte sent to the last received
    error: str | None = None  # why there was no answer
    timeout: float = 3.0  # seconds that Zoom waits

    @property
    def ok(self) -> bool:
        """Whether Zoom counts it as delivered: 200 or 204 within 3 seconds."""
        return self.status in (200, 204) and self.seconds <= self.timeout


@dataclass(frozen=True)
class Validation:
    """The result of a challenge, and the reason."""

    ok: bool
    reason: str
    delivery: Delivery


class ZoomSandbox:
    """The stand-in. Threads may share it."""

    def __init__(self, endpoint: str, secret_token: str, timeout: float = 3.0) -> None:
        """Deliver to ``endpoint``, waiting ``timeout`` seconds for each answer."""
        self.endpoint, self.secret_token, self.timeout = endpoint, secret_token, timeout
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=256))

    def close(self) -> None:
        """Close the keep-alive connections."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def deliver(
        self,
        body: Any = None,
        *,
        timestamp: int | str | None = None,
        signature: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Delivery:
        """Send one delivery, signed for now unless told otherwise.

        ``raw`` is sent instead of ``body``; a header that is None is left out.
        """
        wire = stringify(body) if raw is None else raw
        sent = self._headers(wire, timestamp, signature, headers)
        began = time.monotonic()
        try:
            answer = self._session.post(
                self.endpoint,
                data=wire,
                headers=sent,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return Delivery(None, "", time.monotonic() - began, repr(error), self.timeout)
        seconds = time.monotonic() - began
        return Delivery(answer.status_code, answer.text, seconds, None, self.timeout)

    def deliver_with_retries(
        self, body: Any, schedule: Sequence[float] = REDELIVERIES, scale: float = 1 / 1000
    ) -> list[Delivery]:
        """Send the same body again after each wait times ``scale``, until it is accepted."""
        attempts = [self.deliver(body)]
        for wait in schedule:
            if attempts[-1].ok:
                break
            time.sleep(wait * scale)
            attempts.append(self.deliver(body))
        return attempts

    def deliver_at_once(self, body: Any, copies: int = 16) -> list[Delivery]:
        """Send copies at the same time, like several subscriptions to one event.

        Every copy has its own connection, opened before the first one is sent. Zoom allows an app
        up to 20 subscriptions.
        """
        wire, stamp = stringify(body), int(time.time())
        barrier = threading.Barrier(copies)
        deliveries: list[Delivery | None] = [None] * copies

        def send(number: int) -> None:
            headers = self._headers(wire, stamp, None, None)
            deliveries[number] = self._send_alone(wire, headers, barrier)

        threads = [threading.Thread(target=send, args=(each,)) for each in range(copies)]
        try:
            for thread in threads:
                thread.start()
        except BaseException:  # Ctrl-C, for one
            barrier.abort()  # or the threads that did start would wait forever
            raise
        for thread in threads:
            thread.join()
        return [each for each in deliveries if each is not None]

    def validate(self, *, signed: bool = False) -> Validation:
        """Send the challenge and check its answer (Zoom: webhook validation).

        By default it has no signature headers, as Zoom's may not have them either.
        """
        plain = secrets.token_urlsafe(16)
        body = {
            "event": "endpoint.url_validation",
            "event_ts": int(time.time() * 1000),
            "payload": {"plainToken": plain},
        }
        bare = {"x-zm-signature": None, "x-zm-request-timestamp": None}
        delivery = self.deliver(body, headers=None if signed else bare)
        reason = self._fault_in_answer(delivery, plain)
        return Validation(reason is None, reason or "the endpoint is valid", delivery)

    def _fault_in_answer(self, delivery: Delivery, plain: str) -> str | None:
        if delivery.status is None:
            return f"no answer: {delivery.error}"
        if delivery.status != 200:
            return f"answered {delivery.status}, not 200"
        if not delivery.ok:
            return f"answered after {delivery.seconds:.1f} s, Zoom waits {self.timeout:g} s"
        try:
            answer = json.loads(delivery.answer)
        except ValueError:
            return "the answer is not JSON"
        key = self.secret_token.encode()
        expected = hmac.new(key, plain.encode(), hashlib.sha256).hexdigest()
        if not isinstance(answer, dict) or answer.get("plainToken") != plain:
            return "plainToken is missing or different"
        if answer.get("encryptedToken") != expected:
            return "encryptedToken was not made with this Secret Token"
        return None

    def _headers(
        self,
        wire: bytes,
        timestamp: int | str | None,
        signature: str | None,
        changes: Mapping[str, str | None] | None,
    ) -> dict[str, str]:
        stamp = int(time.time()) if timestamp is None else timestamp
        headers: dict[str, str | None] = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Zoom Marketplace/1.0a",
            "x-zm-request-timestamp": str(stamp),
            "x-zm-signature": signature or sign(self.secret_token, stamp, wire),
            "x-zm-trackingid": f"v=2.0;clid=sandbox;rid=WEB_{uuid.uuid4().hex}",
        }
        headers.update(changes or {})
        return {name: text for name, text in headers.items() if text is not None}

    def _send_alone(
        self, wire: bytes, headers: dict[str, str], barrier: threading.Barrier
    ) -> Delivery:
        url = urlsplit(self.endpoint)
        secure = url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=self.timeout)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        began = time.monotonic()
        try:
            try:
                connection.connect()
            finally:
                barrier.wait()
            began = time.monotonic()
            connection.request("POST", target, wire, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, threading.BrokenBarrierError) as error:
            return Delivery(None, "", time.monotonic() - began, repr(error), self.timeout)
        finally:
            connection.close()
        return Delivery(answer.status, text, time.monotonic() - began, None, self.timeout)
