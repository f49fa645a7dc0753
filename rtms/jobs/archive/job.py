"""The job that archives recordings before Recall deletes them (ARCHIVE_URL)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, RECORDINGS, State
from rtms import clock
from rtms.db.database import Database
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.archive import eligibility
from rtms.jobs.archive.eligibility import QUEUE, RecordingToArchive
from rtms.jobs.archive.manifest import manifest, stored_before, write_whole
from rtms.jobs.archive.progress import Progress, has_file, raise_if_incomplete
from rtms.jobs.archive.retrieval import Retrieval
from rtms.jobs.archive.retry_policy import NotArchived, NothingKept, next_try
from rtms.jobs.archive.storage import NotStored, Store
from rtms.jobs.names import JobName
from rtms.logs import about, meeting_of
from rtms.queue.lease_renewal import LeaseLost, LeaseRenewal
from rtms.queue.paced import Pace
from rtms.queue.queue_job import QueueJob
from rtms.recall.client import Recall
from rtms.recall.rate_limit import RETRIEVE_GATE
from rtms.recall.recording_config import NOTHING_KEPT, audio_count, keeps_nothing
from rtms.recordings import download
from rtms.recordings.download_errors import DownloadError
from rtms.recordings.presigned import size_at

_THREADS = 2
_LEASE_SECONDS = 60.0  # renewed while a recording is stored
_BACKFILL_EVERY = 3600.0  # seconds

log = structlog.get_logger()


class ArchiveJob(QueueJob[RecordingToArchive]):
    """Stores the media of recordings that are done."""

    name = JobName.ARCHIVE
    threads = _THREADS

    def __init__(self, database: Database, recall: Recall, config: Config) -> None:
        assert config.archive_url
        seconds_each = 60 / max(config.recall_retrieves_per_minute - _THREADS, 1)
        self._turns = Pace(database, RETRIEVE_GATE, seconds_each=seconds_each)
        # Each recording takes a request to Recall for its links.
        super().__init__(database, QUEUE, lease_seconds=_LEASE_SECONDS, pace=self._turns)
        self._recall = recall
        self._store = Store(config.archive_url)
        self._timeout = config.recall_timeout_seconds
        self._recording_config = config.recording_config
        self._renewals: dict[RecordingToArchive, LeaseRenewal] = {}
        self._backfill_at = 0.0
        if config.paas and self._store.is_folder:
            log.warning(
                f"{config.paas} wipes this disk at each deploy, and what ARCHIVE_URL keeps with "
                "it: set it to a bucket, such as s3://bucket/folder"
            )

    def next_due(self) -> datetime | None:
        if time.monotonic() >= self._backfill_at:
            self.database.write(lambda connection: eligibility.backfill(connection, clock.now()))
            self._backfill_at = time.monotonic() + _BACKFILL_EVERY
        return super().next_due()

    def work(self, row: RecordingToArchive) -> None:
        trouble: NotArchived | None = None
        progress = Progress()
        with LeaseRenewal(self.database, QUEUE, row, seconds=_LEASE_SECONDS) as lease:
            self._renewals[row] = lease
            try:
                self._archive(row, lease, progress)
            except LeaseLost:
                log.warning(
                    "left a recording to another process",
                    row=row.meeting_direct_connect_id,
                    recording=row.recall_recording_id,
                )
                return
            except DatabaseUnavailable:
                raise
            except NotArchived as error:
                trouble = error
            except DownloadError as error:
                trouble = NotArchived(str(error), passes=error.passes)
            except NotStored as error:
                trouble = NotArchived(str(error))
            except Exception as error:
                # Without the error's own text, which may hold a link.
                trouble = NotArchived(f"Storing it failed unexpectedly ({type(error).__name__}).")
            finally:
                del self._renewals[row]
        self._record(row, trouble, progress)

    def hand_back(self, rows: Sequence[RecordingToArchive]) -> None:
        for row in rows:
            if lease := self._renewals.get(row):
                lease.give_up()
        super().hand_back(rows)

    def _archive(self, row: RecordingToArchive, lease: LeaseRenewal, progress: Progress) -> None:
        """Store every medium that is done, and then the manifest.

        Args:
            progress: updated as media are stored, also if an error is raised.

        Raises:
            NotArchived, NotStored, DownloadError: not all of it is stored.
        """
        with self.database.read() as connection:
            meeting = connection.execute(
                sa.select(CONNECTS).where(CONNECTS.c.id == row.meeting_direct_connect_id)
            ).one()
            progress.known = connection.scalar(
                sa.select(RECORDINGS.c.media).where(RECORDINGS.c.id == row.id)
            )
        retrieval = Retrieval(
            recall=self._recall,
            turns=self._turns,
            lease=lease,
            recall_id=meeting.recall_id,
            recall_recording_id=row.recall_recording_id,
            audio=audio_count(self._recording_config),
        )
        recording = retrieval.recording()
        progress.found = recording.media_statuses()
        if keeps_nothing(self._recording_config) and not recording.has_links:
            raise NothingKept(NOTHING_KEPT, for_good=True)
        names, earlier = stored_before(self._store, meeting, recording)
        files: list[dict[str, Any]] = []
        for medium in recording.media:
            if medium.status != "done":
                continue
            for link, url in sorted(medium.links.items()):
                name = names.file(medium, link)
                links = retrieval.links(medium, link)
                size = self._store_file(names.folder, name, url, links, lease)
                files.append({"kind": medium.kind, "file": name, "bytes": size})
            if medium.links or not has_file(medium.kind):
                progress.stored.add(medium.kind)
        if files:
            lease.check()
            content = manifest(meeting, recording, files, earlier)
            self._store.put(names.folder, names.manifest, lambda path: write_whole(path, content))
        raise_if_incomplete(recording, files)

    def _store_file(
        self, folder: str, name: str, url: str, links: Iterator[str], lease: LeaseRenewal
    ) -> int:
        """Store a file, unless it is already stored, and return its size.

        Args:
            url: its known link.
            links: that link and then fresh ones.
        """
        lease.check()
        stored = self._store.size(folder, name)
        if stored is not None and stored == size_at(url, self._recall.base_url, self._timeout):
            return stored
        return self._store.put(
            folder,
            name,
            lambda path: (
                download.fetch(
                    links.__next__,
                    path,
                    allowed_host=self._recall.base_url,
                    progress=lambda done, total: lease.check(),
                    timeout=self._timeout,
                    pause=lease.wait,
                ).bytes
            ),
        )

    def _record(
        self, row: RecordingToArchive, trouble: NotArchived | None, progress: Progress
    ) -> None:
        now, attempts = clock.now(), row.archive_attempts + 1
        due_at = None
        if trouble and not trouble.for_good:
            due_at = next_try(
                attempts=attempts, expires_at=row.expires_at, now=now, passes=trouble.passes
            )

        def write(connection: Connection) -> Any:
            change: dict[str, Any] = {
                "archive_attempts": attempts,
                "archive_error": str(trouble) if trouble else None,
                "archive_due_at": due_at,
            }
            if progress.has_news:  # the follow job records it and notifies
                connection.execute(
                    CONNECTS.update()
                    .where(
                        CONNECTS.c.id == row.meeting_direct_connect_id,
                        CONNECTS.c.state != State.PENDING,
                    )
                    .values(due_at=now)
                )
            known = connection.execute(
                sa.select(RECORDINGS.c.media, RECORDINGS.c.archived_media)
                .where(RECORDINGS.c.id == row.id)
                .with_for_update()
            ).one_or_none()
            if known:
                stored = eligibility.done_kinds(progress.found or {}) & progress.stored
                stored = stored.union(known.archived_media or ())
                change["archived_media"] = sorted(stored) or None
                if not trouble:
                    change["archived_at"] = now
                    if progress.missed(known.media):
                        change |= {"archive_due_at": now, "archive_attempts": 0}
                QUEUE.record(connection, row, **change)
            return meeting_of(connection, row.meeting_direct_connect_id)

        where = about(self.database.write(write), recording=row.recall_recording_id)
        if trouble and due_at:
            write_log = where.debug if row.archive_attempts else where.warning  # warn once
            write_log("not archived yet", error=str(trouble), next_try=due_at)
        elif isinstance(trouble, NothingKept):
            where.info("nothing to archive", reason=str(trouble))
        elif trouble:
            where.error("not archived, and given up", error=str(trouble))
        else:
            where.info("archived")
