"""What each process says of itself in the table of processes, every few seconds: that it is alive,
whether it dispatches, and what it has counted. So whichever process is asked can tell of all."""

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
_AGAIN_SECONDS = 2.0  # where it could not be written
_RECENT_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which process this is."""

    name: str
    host: str
    pid: int
    started_at: datetime


class Heartbeat:
    """Writes this process's row. Make it whenever, and start it after a fork, never before.

    Args:
        counts: what this process counts.
        dispatches: whether its dispatcher runs at this moment.
    """

    def __init__(self, database: Database, counts: Counts, dispatches: Callable[[], bool]) -> None:
        self._database = database
        self._counts = counts
        self._dispatches = dispatches
        self._kind = "web"
        self._identity: Identity | None = None
        self._writing = threading.Lock()
        self._written: tuple[float, dict[str, Any]] | None = None  # when, and what
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def identity(self) -> Identity:
        """Which process this is; found out when somebody first asks, which is after the fork."""
        if self._identity is None:
            self._identity = _who_am_i()
        return self._identity

    def start(self, kind: str) -> None:
        """Begin to beat, in a thread.

        Args:
            kind: web or worker.
        """
        self._kind = kind
        self._thread = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)
        self._thread.start()

    def beat(self) -> dict[str, Any]:
        """Write this process's row as it is now.

        Returns:
            The row. A later one of this process never says less, whichever thread writes it.

        Raises:
            DatabaseUnavailable: it was not written.
        """
        with self._alone():
            return self._beat()

    def recent(self) -> dict[str, Any]:
        """This process's row as it was written within the last second, else as it is now, written:
        however many ask, few of them write. It is told as it was written, so no later answer of
        any process says less.

        Raises:
            DatabaseUnavailable: it was not written.
        """
        with self._alone():
            if self._written and time.monotonic() - self._written[0] < _RECENT_SECONDS:
                return self._written[1]
            return self._beat()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # One after another: else an older snapshot could be written after a newer one.
        if not self._writing.acquire(timeout=PATIENCE):
            raise DatabaseUnavailable("another thread of this process has waited for it for long")
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
        """This process's row, as it would be written now."""
        return {
            **vars(self.identity),
            "kind": self._kind,
            "dispatches": self._dispatches(),
            "seen_at": clock.now(),
            "counts": self._counts.snapshot(),
        }

    def stop(self) -> None:
        """Say nothing more, and take back the row: an end in order leaves no trace."""
        self._leaving.set()
        if self._thread is None or not self._writing.acquire(timeout=PATIENCE):
            return
        try:
            mine = PROCESSES.c.name == self.identity.name
            self._database.write(
                lambda connection: connection.execute(PROCESSES.delete().where(mine))
            )
        except DatabaseUnavailable as error:
            log.info("the process ends without saying so in the database", error=str(error))
        finally:
            self._writing.release()

    def _beat_for_ever(self) -> None:
        is_written, pause = True, 0.0
        while not self._leaving.wait(pause):
            try:
                self.beat()
            except Exception as error:  # the thread goes on, whatever it was
                if is_written:  # said once
                    log.warning(
                        "this process cannot say in the database that it is alive; trying again",
                        error=str(error) or type(error).__name__,
                    )
                is_written, pause = False, _AGAIN_SECONDS
            else:
                if not is_written:
                    log.info("this process says in the database again that it is alive")
                is_written, pause = True, EVERY_SECONDS


def living(connection: Connection, *, now: datetime) -> list[AnyRow]:
    """The processes that are alive, as they last said. One that was seen in what is the future now
    is not believed for longer than any other: the clock may have been set back."""
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
    # Some were killed and could not do it themselves, or said it before their clock was set back.
    seen_at, now = PROCESSES.c.seen_at, row["seen_at"]
    forgotten = sa.or_(seen_at < now - _FORGOTTEN_AFTER, seen_at > now + _FORGOTTEN_AFTER)
    connection.execute(PROCESSES.delete().where(forgotten))


def _who_am_i() -> Identity:
    host, pid = socket.gethostname()[:64], os.getpid()
    # In containers every process may be number 1, of hosts that have one name.
    name = f"{host}:{pid}:{uuid.uuid4().hex[:6]}"
    return Identity(name=name, host=host, pid=pid, started_at=clock.now())
