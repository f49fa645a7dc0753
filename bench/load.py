"""Load generators: one sends as fast as it is answered, and one follows a timetable."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import re
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.samples import percentile
from bench.servers import Address, Bench, Trouble

CONNECTIONS = 32
FASTEST = 8_000  # deliveries per second: more than any server answers here
_THREADS = 2
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Throughput:
    """The result of sending as fast as possible."""

    answers: int  # with any status
    seconds: float
    errors: int  # no answer
    refused: int  # answers that are not 2xx
    p50: float  # seconds, as are the next two
    p99: float
    max: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    def require_all_accepted(self) -> None:
        """Raises:
        Trouble: a delivery had no answer, or one that is not 2xx.
        """
        if self.errors or self.refused:
            raise Trouble(f"{self.errors} deliveries without an answer, {self.refused} refused")


@dataclass(frozen=True)
class Sample:
    """A delivery of a timetable. Times are seconds since the epoch."""

    due_at: float
    answered_at: float
    status: int | None  # None: no answer by `answered_at`

    @property
    def seconds(self) -> float:
        """The time from when it was due, even if the client was late."""
        return self.answered_at - self.due_at


def client_name() -> str:
    """Return the name of the client that `hammer` uses."""
    return "wrk" if shutil.which("wrk") else "Python (wrk is not installed)"


def hammer(
    bench: Bench,
    address: Address,
    requests: Sequence[bytes],
    seconds: float,
    connections: int = CONNECTIONS,
) -> Throughput:
    """Send each request once, over this many connections, as fast as they are answered. If there
    are too few for the time, they are repeated."""
    if shutil.which("wrk"):
        return _wrk(bench, address, requests, seconds, connections)
    share = [
        (str(address.host), address.port, list(requests[n::_THREADS]), seconds,
         connections // _THREADS)
        for n in range(_THREADS)
    ]  # fmt: skip
    with ProcessPoolExecutor(_THREADS, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(_closed_loop, share))
    took = [each for part in parts for each in part[0]]
    return Throughput(
        answers=len(took),
        seconds=seconds,
        errors=sum(part[1] for part in parts),
        refused=sum(part[2] for part in parts),
        p50=percentile(took, 50),
        p99=percentile(took, 99),
        max=max(took),
    )


def _wrk(
    bench: Bench, address: Address, requests: Sequence[bytes], seconds: float, connections: int
) -> Throughput:
    prefix = bench.folder / "requests"
    for number in range(_THREADS):
        Path(f"{prefix}.{number}").write_bytes(b"\0".join(requests[number::_THREADS]))
    script = str(Path(__file__).parent / "post.lua")
    command = [
        *("wrk", "-t", str(_THREADS), "-c", str(connections), "-d", f"{seconds:.0f}s"),
        *("-s", script, f"http://{address}", "--", str(prefix)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    return Throughput(
        answers=said["answers"],
        seconds=said["microseconds"] / 1e6,
        errors=said["errors"],
        refused=said["refused"],
        **{name: said[name] / 1e6 for name in ("p50", "p99", "max")},
    )


def _closed_loop(
    what: tuple[str, int, list[bytes], float, int],
) -> tuple[list[float], int, int]:
    """Return the time of each answer, and the number of errors and refusals."""
    host, port, requests, seconds, connections = what

    async def run() -> tuple[list[float], int, int]:
        client, took, failed = Client(Address(host, port), connections), list[float](), [0, 0]
        waiting, end = itertools.cycle(requests), time.monotonic() + seconds

        async def one() -> None:
            while (began := time.monotonic()) < end:
                status = await client.post(next(waiting), 10.0)
                failed[0] += status is None
                failed[1] += status is not None and not 200 <= status < 300
                if status is not None:
                    took.append(time.monotonic() - began)

        await asyncio.gather(*(one() for _ in range(connections)))
        return took, failed[0], failed[1]

    return asyncio.run(run())


def offer(
    addresses: Sequence[Address],
    timetable: Sequence[tuple[float, bytes]],
    *,
    connections: int = 256,
    patience: float = 30.0,
) -> list[Sample]:
    """Send each request when it is due (seconds since the epoch), to the addresses in turn. Return
    the samples in the order of the timetable.

    Args:
        patience: seconds to wait for each answer.
    """

    async def run() -> list[Sample]:
        clients = [Client(each, connections) for each in addresses]

        async def one(index: int, due_at: float, raw: bytes) -> Sample:
            status = await clients[index % len(clients)].post(raw, patience)
            return Sample(due_at, time.time(), status)

        def when_due(index: int, due_at: float, raw: bytes) -> Callable[[], Awaitable[Sample]]:
            return lambda: one(index, due_at, raw)

        tasks = []
        for index, (due_at, raw) in enumerate(timetable):
            if (wait := due_at - time.time()) > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(when_due(index, due_at, raw)()))
        return await asyncio.gather(*tasks)

    return asyncio.run(run())


class Client:
    """A client with a pool of keep-alive connections, up to a limit."""

    def __init__(self, address: Address, limit: int) -> None:
        self._address = address
        self._free = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []

    async def post(self, raw: bytes, patience: float) -> int | None:
        """Send a request; return the status, or None if `patience` seconds pass without one."""
        try:
            async with asyncio.timeout(patience), self._free:
                return await self._post(raw)
        except (TimeoutError, OSError):
            return None

    async def _post(self, raw: bytes) -> int:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._over(connection, raw)
            except ConnectionError:
                pass  # the server closed the idle connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, *self._where())
        return await self._over(connection, raw)

    async def _over(self, connection: _Connection, raw: bytes) -> int:
        try:
            status = await connection.send(raw)
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return status

    def _where(self) -> tuple[str, int]:
        return self._address.host, self._address.port


class _Connection(asyncio.Protocol):
    """A connection, with one request at a time."""

    is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True
        self._answer: asyncio.Future[int] | None = None

    def send(self, raw: bytes) -> asyncio.Future[int]:
        self._buffer = b""
        self._answer = asyncio.get_running_loop().create_future()
        if self.is_open:
            self._transport.write(raw)
        else:
            self._answer.set_exception(ConnectionResetError())
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank or self._answer is None or self._answer.done():
            return
        length = _LENGTH.search(head)
        if length is not None and len(body) >= int(length[1]):
            if b"\r\nconnection: close" in head.lower():
                self.close()
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def close(self) -> None:
        self.is_open = False
        self._transport.close()
