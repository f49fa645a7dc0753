"""Renew the lease of a row whose work may take hours."""

from __future__ import annotations

import threading
from typing import Any, Self

import structlog

from rtms import clock
from rtms.db.database import Database
from rtms.db.errors import DatabaseUnavailable
from rtms.queue.leases import Leased, Queue

log = structlog.get_logger()


class LeaseLost(Exception):
    """Another process may have the row now."""


class LeaseRenewal:
    """Renews a row's lease until its work is done.

    Args:
        seconds: how long each lease lasts; it is renewed after a quarter of it.
    """

    def __init__(
        self, database: Database, queue: Queue[Any], row: Leased, *, seconds: float
    ) -> None:
        self._database = database
        self._queue = queue
        self._row = row
        self._seconds = seconds
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name="lease-renewal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def give_up(self) -> None:
        """Stop renewing, and make the work stop at its next `check`."""
        self._lost = True
        self._over.set()

    def check(self) -> None:
        """Check that the lease still holds.

        Raises:
            LeaseLost: it does not.
        """
        if self._lost:
            raise LeaseLost

    def wait(self, seconds: float) -> None:
        """Wait while the lease holds.

        Raises:
            LeaseLost: it does not hold any more.
        """
        self._over.wait(seconds)
        self.check()

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / 4):
            try:
                renewed = self._database.write(
                    lambda connection: self._queue.renew(
                        connection, self._row, now=clock.now(), seconds=self._seconds
                    )
                )
            except DatabaseUnavailable as error:
                log.warning("could not renew a lease; trying again", error=str(error))
                continue
            if not renewed:
                self.give_up()
