"""The heartbeat of a process: its row in `processes`, updated every few seconds, with its counts
and whether it dispatches. So any process can report on all of them."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from models import PROCESSES
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.db.engines import PATIENCE, insert_into
from rtms.db.errors import DatabaseUnavailable
from rtms.monitoring.counters import Counts

EVERY_SECONDS = 10.0
DEAD_AFTER = timedelta(seconds=60)
_FORGOTTEN_AFTER = timedelta(hours=1)
_AGAIN_SECONDS = 2.0  # after a failed write
_RECENT_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process's unique name, host and number."""

    name: str
    host: str
    pid: int
    started_at: datetime


class Heartbeat:
    """Writes this process's row. Start it after a fork, never before.

    Args:
        counts: this process's counts.
        dispatches: returns whether its dispatcher is running.
    """

    def __init__(self, database: Database, counts: Counts, dispatches: Callable[[], bool]) -> None:
        self._database = database
        self._counts = counts
        self._dispatches = dispatches
        self._kind = "web"
        self._writing = threading.Lock()
        self._written: tuple[float, dict[str, Any]] | None = None  # when, and what
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    @cached_property
    def identity(self) -> Identity:
        """This process's identity, made at the first call, which is after the fork."""
        host, pid = socket.gethostname()[:64], os.getpid()
        # Containers may share a host name, and each may have its process as number 1.
        name = f"{host}:{pid}:{uuid.uuid4().hex[:6]}"
        return Identity(name=name, host=host, pid=pid, started_at=clock.now())

    def start(self, kind: str) -> None:
        """Start a thread that writes the row regularly.

        Args:
            kind: web or worker.
        """
        self._kind = kind
        self._thread = threading.Thread(
            target=self._beat_until_stopped, name="heartbeat", daemon=True
        )
        self._thread.start()

    def beat(self) -> dict[str, Any]:
        """Write this process's current row.

        Returns:
            The row. Its counts never decrease, whichever thread writes it.

        Raises:
            DatabaseUnavailable: it was not written.
        """
        with self._alone():
            return self._beat()

    def recent(self) -> dict[str, Any]:
        """Return this process's row if it was written within the last second, else write it. Many
        callers cause few writes, and no later response of any process has lower counts.

        Raises:
            DatabaseUnavailable: it was not written.
        """
        with self._alone():
            if self._written and time.monotonic() - self._written[0] < _RECENT_SECONDS:
                return self._written[1]
            return self._beat()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Otherwise an older snapshot could be written after a newer one.
        if not self._writing.acquire(timeout=PATIENCE):
            raise DatabaseUnavailable("another thread of this process is still waiting for it")
        try:
            yield
        finally:
            self._writing.release()

    def _beat(self) -> dict[str, Any]:
        row = self.row()
        if not self._leaving.is_set():
            self._database.write(lambda connection: _write(connection, row))
            self._written = time.monotonic(), row
        return row

    def row(self) -> dict[str, Any]:
        """Return this process's current row, without writing it."""
        return {
            **vars(self.identity),
            "kind": self._kind,
            "dispatches": self._dispatches(),
            "seen_at": clock.now(),
            "counts": self._counts.snapshot(),
        }

    def stop(self) -> None:
        """Stop writing and delete the row."""
        self._leaving.set()
        if self._thread is None:
            return
        delete = PROCESSES.delete().where(PROCESSES.c.name == self.identity.name)
        try:
            with self._alone():
                self._database.write(lambda connection: connection.execute(delete))
        except DatabaseUnavailable as error:
            log.info("the process ends, but its row could not be deleted", error=str(error))

    def _beat_until_stopped(self) -> None:
        is_written, pause = True, 0.0
        while not self._leaving.wait(pause):
            try:
                self.beat()
            except Exception as error:  # the thread must go on
                if is_written:  # warn once
                    log.warning(
                        "this process could not write its heartbeat; trying again",
                        error=str(error) or type(error).__name__,
                    )
                is_written, pause = False, _AGAIN_SECONDS
            else:
                if not is_written:
                    log.info("this process writes its heartbeat again")
                is_written, pause = True, EVERY_SECONDS


def living(connection: Connection, *, now: datetime) -> list[AnyRow]:
    """Return the rows of the processes that are alive. A row from more than a minute in the future
    is ignored: the clock may have been set back."""
    seen_at = PROCESSES.c.seen_at
    return list(
        connection.execute(
            sa.select(PROCESSES)
            .where(seen_at > now - DEAD_AFTER, seen_at < now + DEAD_AFTER)
            .order_by(PROCESSES.c.started_at, PROCESSES.c.name)
        )
    )


def _write(connection: Connection, row: dict[str, Any]) -> None:
    statement = insert_into(connection, PROCESSES).values(**row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[PROCESSES.c.name],
            set_={name: row[name] for name in ("kind", "dispatches", "seen_at", "counts")},
        )
    )
    # Delete the rows of killed processes, and those from before a clock was set back.
    seen_at, now = PROCESSES.c.seen_at, row["seen_at"]
    forgotten = sa.or_(seen_at < now - _FORGOTTEN_AFTER, seen_at > now + _FORGOTTEN_AFTER)
    connection.execute(PROCESSES.delete().where(forgotten))
