"""A fast stand-in for Recall in its own process: `python -m bench.recall PORT`.

The one in `sandbox/` implements everything that Recall documents. This one has only creates, with
idempotency keys, the rate limit and a few faults, and is fast enough not to be the bottleneck.
`bench.ledger` controls it over /_control.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sandbox.idempotency import Key, KeyBook, SlidingLimit

CREATE_PATH = "/api/v1/meeting_direct_connect"
_KEY_SECONDS = 3600.0  # Recall: idempotency


@dataclass
class Entry:
    """A create. Times are seconds since the epoch."""

    stream_id: str
    arrived_at: float
    status: int = 0  # 0: not answered
    answered_at: float | None = None
    connection_id: str | None = None


@dataclass(frozen=True)
class Reply:
    """A completed answer, as it is stored under its key."""

    status: int
    body: bytes
    retry_after: int | None = None
    connection_id: str | None = None


class Creates:
    """Answers creates."""

    def __init__(self) -> None:
        self.latency = 0.0  # seconds that the work takes; refusals are immediate
        self.down_until = 0.0  # seconds since the epoch; 503 before that
        self.silent = False  # whether it accepts requests and never answers
        self.ledger: list[Entry] = []
        self.connections = 0
        self.limit = SlidingLimit(None)
        self._keys = KeyBook[Reply](_KEY_SECONDS)

    async def answer(self, text: str | None, body: bytes) -> Reply | None:
        """Return the answer to a create under an idempotency key; None: no answer."""
        entry = Entry(_stream_in(body), time.time())
        self.ledger.append(entry)
        if self.silent:
            return None
        reply = await self._settle(text, entry)
        entry.status, entry.connection_id = reply.status, reply.connection_id
        entry.answered_at = time.time()
        return reply

    async def _settle(self, text: str | None, entry: Entry) -> Reply:
        if entry.arrived_at < self.down_until:
            return _refusal(503)
        key: Key | None = ("", CREATE_PATH, text) if text else None
        claim = self._keys.claim(key)
        if not claim.fresh:
            return claim.answer or _refusal(409)
        wait = self.limit.refuse()
        if wait is not None:
            reply = _refusal(429, wait)
        else:
            await asyncio.sleep(self.latency)
            self.connections += 1
            made = {"id": str(uuid.uuid4()), "status": {"code": "in_progress"}, "recordings": []}
            reply = Reply(201, json.dumps(made).encode(), connection_id=str(made["id"]))
        self._keys.complete(key, reply)
        return reply

    def steer(self, settings: dict[str, Any]) -> None:
        """Change latency, limit, down_seconds or silent, after a `reset` if requested."""
        if settings.pop("reset", False):
            self.__init__()  # type: ignore[misc]
        if "down_seconds" in settings:
            self.down_until = time.time() + settings.pop("down_seconds")
        if "limit" in settings:
            limit = settings.pop("limit")
            self.limit.limit = (int(limit[0]), float(limit[1])) if limit else None
        for name, value in settings.items():
            setattr(self, name, value)

    def retrieve(self, recall_id: str) -> Reply:
        """Return a connection that is in progress, as all of them are."""
        value = {"id": recall_id, "status": {"code": "in_progress"}, "recordings": []}
        return Reply(200, json.dumps(value).encode())


def _refusal(status: int, retry_after: int | None = None) -> Reply:
    words = json.dumps({"detail": HTTPStatus(status).phrase}).encode()
    return Reply(status, words, retry_after)


def _stream_in(body: bytes) -> str:
    stream: str = json.loads(body)["zoom_rtms"]["rtms_stream_id"]
    return stream


class Server:
    """The HTTP server, with only what the benchmark's clients need."""

    def __init__(self) -> None:
        self.creates = Creates()

    async def serve(self, port: int) -> None:
        """Serve until the process ends."""
        server = await asyncio.start_server(self._client, "127.0.0.1", port, backlog=2048)
        gc.freeze()
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                fields = (line.partition(":") for line in head[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                reply = await self._reply(method, path, headers, body)
                if reply is None:
                    await reader.read()  # until the client disconnects
                    return
                writer.write(_as_http(reply))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client disconnected
        finally:
            writer.close()

    async def _reply(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Reply | None:
        if path == "/_control/ledger":
            return Reply(200, json.dumps([vars(each) for each in self.creates.ledger]).encode())
        if path == "/_control/counts":
            counts = {"requests": len(self.creates.ledger), "connections": self.creates.connections}
            return Reply(200, json.dumps(counts).encode())
        if path == "/_control":
            self.creates.steer(json.loads(body))
            return Reply(200, b"{}")
        if method == "POST":
            return await self.creates.answer(headers.get("idempotency-key"), body)
        return self.creates.retrieve(path.rstrip("/").rpartition("/")[2])


def _as_http(reply: Reply) -> bytes:
    wait = "" if reply.retry_after is None else f"Retry-After: {reply.retry_after}\r\n"
    head = (
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n"
        f"Content-Type: application/json\r\n{wait}Content-Length: {len(reply.body)}\r\n\r\n"
    )
    return head.encode() + reply.body


if __name__ == "__main__":
    asyncio.run(Server().serve(int(sys.argv[1])))
