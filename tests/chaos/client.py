"""Zoom as the judge needs it: it delivers again what was not acknowledged, and keeps a list of what
was."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sandbox import Delivery, Stream, ZoomSandbox, events
from tests.servers import PATIENCE, Server, wait_for

_AGAIN = 0.1  # seconds until a redelivery; Zoom takes five minutes, which a test cannot
_PACE = 0.05  # seconds between two starts of one sender


class Client:
    """Sends starts, and keeps which were acknowledged."""

    def __init__(self, zoom: ZoomSandbox) -> None:
        self._zoom = zoom
        self._lock = threading.Lock()
        self._acknowledged: dict[str, float] = {}
        self._statuses: Counter[int | None] = Counter()

    @property
    def acknowledged(self) -> dict[str, float]:
        """The streams whose start was answered with 200, and when each began (unix seconds)."""
        with self._lock:
            return dict(self._acknowledged)

    @property
    def statuses(self) -> Counter[int | None]:
        """How often each status came back; None: no answer."""
        with self._lock:
            return self._statuses.copy()

    def start(self, stream: Stream | None = None) -> Delivery:
        """Deliver a start, once."""
        return self._deliver(events.started(stream or Stream()))

    def start_at_once(self, copies: int) -> list[Delivery]:
        """Deliver one start on so many connections at the same instant."""
        body = events.started(Stream())
        deliveries = self._zoom.deliver_at_once(body, copies)
        for delivery in deliveries:
            self._note(body, delivery)
        return deliveries

    def start_until_acknowledged(self, stream: Stream | None = None) -> None:
        """Deliver a start again and again, until it is acknowledged."""
        body = events.started(stream or Stream())
        give_up_at = time.monotonic() + PATIENCE
        while self._deliver(body).status != 200:
            assert time.monotonic() < give_up_at, (
                f"a start was not acknowledged in {PATIENCE:g} s; so far: {dict(self.statuses)}"
            )
            time.sleep(_AGAIN)

    @contextmanager
    def burst(self, senders: int = 4) -> Iterator[None]:
        """Start one stream after another meanwhile. At its end every start is acknowledged."""
        over = threading.Event()

        def send() -> None:
            while not over.wait(_PACE):
                self.start_until_acknowledged()

        with ThreadPoolExecutor(senders) as pool:
            sending = [pool.submit(send) for _ in range(senders)]
            try:
                yield
            finally:
                over.set()
        for each in sending:
            each.result()

    def _deliver(self, body: dict[str, Any]) -> Delivery:
        delivery = self._zoom.deliver(body)
        self._note(body, delivery)
        return delivery

    def _note(self, body: dict[str, Any], delivery: Delivery) -> None:
        with self._lock:
            self._statuses[delivery.status] += 1
            if delivery.status == 200:
                began_at = body["event_ts"] / 1000
                self._acknowledged[body["payload"]["rtms_stream_id"]] = began_at


@contextmanager
def client_of(server: Server) -> Iterator[Client]:
    """A client of a server's; it waits for an answer as long as Zoom does."""
    with ZoomSandbox(f"{server.url}/zoom-webhook", server.environ["ZOOM_SECRET_TOKEN"]) as zoom:
        yield Client(zoom)


def more(client: Client, count: int) -> None:
    """Wait until so many more starts are acknowledged."""
    enough = len(client.acknowledged) + count
    wait_for(lambda: len(client.acknowledged) >= enough, f"{count} more acknowledged starts")


def refused(client: Client, count: int) -> None:
    """Wait until so many more deliveries are not acknowledged."""

    def so_far() -> int:
        return sum(each for status, each in client.statuses.items() if status != 200)

    enough = so_far() + count
    wait_for(lambda: so_far() >= enough, f"{count} more refused deliveries")
