"""The benchmark's client for the stand-in for Recall: controls it, and reads its ledger."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from bench.recall import Entry


class Recall:
    """A stand-in at a port on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        """Return whether it answers."""
        try:
            return self.connections() >= 0
        except OSError:
            return False

    def reset(self, **settings: Any) -> None:
        """Reset it, with these settings: `latency` in seconds, `limit` as (count, seconds),
        `down_seconds`, `silent`."""
        self._call("POST", "/_control", {"reset": True, **settings})

    def connections(self) -> int:
        """Return how many connections it made."""
        count: int = self._call("GET", "/_control/counts")["connections"]
        return count

    def requests(self) -> int:
        """Return how many creates it received."""
        count: int = self._call("GET", "/_control/counts")["requests"]
        return count

    def ledger(self) -> list[Entry]:
        """Return every create so far, in order of arrival."""
        return [Entry(**each) for each in self._call("GET", "/_control/ledger")]

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def connected(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return, per stream, the request that first connected it."""
    first: dict[str, Entry] = {}
    for each in entries:
        if each.connection_id and each.stream_id not in first:
            first[each.stream_id] = each
    return first


def duplicates(entries: Iterable[Entry]) -> int:
    """Return how many connections were made to streams that had one already."""
    made = {(each.stream_id, each.connection_id) for each in entries if each.connection_id}
    return sum(count - 1 for count in Counter(stream for stream, _ in made).values())


def lost(stream_ids: Sequence[str], entries: Iterable[Entry]) -> int:
    """Return how many of these streams were never connected."""
    return len(set(stream_ids) - connected(entries).keys())
