"""The job that erases what is stored of users who removed the app.

First the recordings at Recall and the files of the archive are deleted, then the rows are
anonymised in one transaction. A crash in between repeats all of it, which does no harm.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import structlog
from sqlalchemy.engine import Connection

from config import Config
from models import ErasureState
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.archive.storage import NotStored, Store
from rtms.jobs.erase import user_rows
from rtms.jobs.erase.erasures import QUEUE, ErasureToDo, next_try
from rtms.jobs.names import JobName
from rtms.queue.lease_renewal import LeaseLost, LeaseRenewal
from rtms.queue.queue_job import QueueJob
from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recordings.filenames import is_of_recording

_LEASE_SECONDS = 60.0  # renewed while recordings are deleted

log = structlog.get_logger()


class NotErased(Exception):
    """An erasure cannot be completed yet. The message says why."""


class EraseJob(QueueJob[ErasureToDo]):
    """Erases what is stored of a user, and tries again for ten days."""

    name = JobName.ERASE
    threads = 1

    def __init__(self, database: Database, recall: Recall, config: Config) -> None:
        super().__init__(database, QUEUE, lease_seconds=_LEASE_SECONDS, most=1)
        self._recall = recall
        self._store = Store(config.archive_url) if config.archive_url else None

    def work(self, row: ErasureToDo) -> None:
        """Do an erasure, and record the outcome."""
        counts: Counter[str] = Counter(row.counts)
        trouble: str | None = None
        with LeaseRenewal(self.database, QUEUE, row, seconds=_LEASE_SECONDS) as lease:
            try:
                rows = self._delete_outside(row, lease, counts)
                self._anonymise(row, rows, counts)
            except LeaseLost:
                log.warning("left an erasure to another process", erasure=row.id)
                return
            except DatabaseUnavailable:
                raise
            except (NotErased, NotStored, RecallError) as error:
                trouble = str(error)
            except Exception as error:
                log.exception("an erasure failed unexpectedly", erasure=row.id)
                trouble = f"It failed unexpectedly ({type(error).__name__})."
        if trouble:
            self._try_again(row, trouble, counts)

    def _delete_outside(
        self, row: ErasureToDo, lease: LeaseRenewal, counts: Counter[str]
    ) -> list[AnyRow]:
        """Delete the user's recordings at Recall and in the archive, and return the user's rows.

        Raises:
            NotErased, NotStored, RecallError: something is left.
        """
        with self.database.read() as connection:
            rows = list(user_rows.meetings_of(connection, row.zoom_user_id, row.requested_at))
            recordings = user_rows.recordings_of(connection, [each.id for each in rows])
        over = [each for each in rows if user_rows.are_over([each])]
        ids = {each.id for each in over}
        recordings = [each for each in recordings if each.meeting_direct_connect_id in ids]
        kept = [each.id for each in recordings]
        self.database.write(lambda connection: user_rows.stop_archiving(connection, kept))
        if any(each.lease_owner for each in recordings):  # it ends when it next renews its lease
            raise NotErased("A recording of the user's was being archived. It is stopped.")
        for recording in recordings:
            lease.check()
            self._recall.delete_recording(recording.recall_recording_id)
            counts["files"] += self._delete_files(recording)
        if len(over) < len(rows):
            raise NotErased(
                f"{len(rows) - len(over)} of the user's meetings are not over, or Recall is still "
                "processing their recordings. They are erased after that."
            )
        return rows

    def _delete_files(self, recording: AnyRow) -> int:
        """Delete a recording's archived files and its manifest, and return how many there were."""
        if self._store is None:
            if recording.archived_at or recording.archived_media:
                raise NotErased(
                    "Recordings of the user are archived, but ARCHIVE_URL is not set. Set it to "
                    "where they are."
                )
            return 0
        deleted = 0
        for folder in _folders(recording.started_at, recording.connected_at):
            for name in self._store.names(folder):
                if is_of_recording(name, recording.recall_recording_id):
                    self._store.delete(folder, name)
                    deleted += 1
        return deleted

    def _anonymise(self, row: ErasureToDo, rows: list[AnyRow], counts: Counter[str]) -> None:
        """Remove the user from the tables, and complete the erasure.

        Raises:
            NotErased: a meeting of the user's was retried or added since; nothing was changed.
        """
        ids = {each.id for each in rows}

        def write(connection: Connection) -> Counter[str] | None:
            now = clock.now()
            if not QUEUE.record(
                connection,
                row,
                state=ErasureState.DONE,
                attempts=row.attempts + 1,
                last_error=None,
                due_at=None,
                completed_at=now,
            ):
                return None
            known = user_rows.meetings_of(connection, row.zoom_user_id, row.requested_at)
            if not user_rows.are_over(known) or {each.id for each in known} != ids:
                raise NotErased("The user's meetings changed meanwhile.")
            changed = user_rows.anonymise(connection, row.zoom_user_id, rows, row.requested_at)
            erased = Counter({"files": counts["files"], **changed})
            connection.execute(
                QUEUE.table.update().where(QUEUE.table.c.id == row.id).values(counts=dict(erased))
            )
            return erased

        erased = self.database.write(write)
        if erased is not None:
            log.info("a user was erased", erasure=row.id, **erased)

    def _try_again(self, row: ErasureToDo, error: str, counts: Counter[str]) -> None:
        now, attempts = clock.now(), row.attempts + 1
        due_at = next_try(attempts=attempts, requested_at=row.requested_at, now=now)
        self.database.write(
            lambda connection: QUEUE.record(
                connection,
                row,
                state=ErasureState.WAITING if due_at else ErasureState.FAILED,
                attempts=attempts,
                last_error=error,
                due_at=due_at,
                counts=dict(counts),
            )
        )
        if due_at:
            write_log = log.debug if row.attempts else log.warning  # warn once
            write_log("a user is not erased yet", erasure=row.id, error=error, next_try=due_at)
        else:
            log.error(
                "a user is not erased, and given up after ten days: fix what the error names, and "
                "run `flask users erase` with the user's id",
                erasure=row.id,
                error=error,
            )


def _folders(*began: datetime | None) -> set[str]:
    """Return the archive's folders that may have files of a recording (`RecordingNames.folder`)."""
    return {f"{moment:%Y/%m}" if moment else "undated" for moment in (*began, None)}
