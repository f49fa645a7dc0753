"""Keeping a lease for work that may take hours."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import structlog

from rtms import clock
from rtms.db.database import Database, DatabaseUnavailable
from rtms.queue import leases
from rtms.queue.leases import Archiving

LEASE_SECONDS = 60.0  # renewed while a recording is stored, however long that takes
_RENEW_SECONDS = 15.0

log = structlog.get_logger()


class Lost(Exception):
    """The recording is not ours any more."""


class Hold:
    """Keeps a lease from running out while its recording is stored."""

    def __init__(self, database: Database, job: Archiving) -> None:
        self._database = database
        self._job = job
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name="archive-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def let_go(self) -> None:
        """Renew it no more, and let the work break off."""
        self._lost = True
        self._over.set()

    def check(self) -> None:
        """Break the work off where the recording is not ours any more (`Lost`)."""
        if self._lost:
            raise Lost

    def wait(self, seconds: float) -> None:
        """Wait, as long as the recording is ours."""
        self._over.wait(seconds)
        self.check()

    def _renew(self) -> None:
        while not self._over.wait(_RENEW_SECONDS):
            try:
                renewed = self._database.write(
                    lambda connection: leases.renew(
                        connection, self._job, now=clock.now(), seconds=LEASE_SECONDS
                    )
                )
            except DatabaseUnavailable as error:
                log.warning("could not renew a lease; trying again", error=str(error))
                continue
            if not renewed:
                self.let_go()
