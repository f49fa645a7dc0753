"""A meeting's recordings for commands and the dashboard: fresh links, downloads, transcripts."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from config import Config
from models import CONNECTS
from rtms.db.database import AnyRow, Database
from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recall.lookup import look_up
from rtms.recall.recording_config import NOTHING_KEPT, audio_count, keeps_nothing
from rtms.recall.responses import RecordingState
from rtms.recordings import download as downloads
from rtms.recordings.download import Fetched, Progress, silent
from rtms.recordings.download_errors import Incomplete
from rtms.recordings.filenames import inside
from rtms.recordings.recording_names import RecordingNames
from rtms.recordings.transcripts import NotATranscript, read_parts
from rtms.recordings.utterances import Part

TRANSCRIPT = "transcript"
_ATTEMPTS = 5  # at a download
_MAX_TRANSCRIPT = 64 * 1024 * 1024  # bytes; a day of speech takes a few MB


class NothingThere(Exception):
    """What was requested is not available. The message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of one recording. Its `repr` shows no link."""

    recording_id: str  # Recall's
    kind: str  # Recall's
    link_name: str  # which of the medium's links
    name: str  # on disk
    index: int  # the recording's number in the meeting, from 1


class Recordings:
    """The recordings that Recall has of the meetings in the table."""

    def __init__(self, database: Database, recall: Recall, config: Config) -> None:
        self._database = database
        self._recall = recall
        self._timeout = config.recall_timeout_seconds
        self._recording_config = config.recording_config

    def files(self, id: int, kinds: Sequence[str] = ()) -> list[File]:
        """Return the files of a meeting that can be downloaded now, recording by recording.

        Args:
            id: the meeting's row.
            kinds: only these of Recall's kinds; by default all.

        Raises:
            NothingThere: there is no such meeting, or no such files; the message says which.
            RecallError: Recall did not answer.
        """
        row, recordings = self._look_up(id, kinds)
        files = [
            File(
                recording_id=recording.recall_recording_id,
                kind=medium.kind,
                link_name=link_name,
                name=RecordingNames(row, recording).file(medium, link_name),
                index=index,
            )
            for index, recording in enumerate(recordings, start=1)
            for medium in recording.media
            if not kinds or medium.kind in kinds
            for link_name in sorted(medium.links)
        ]
        if not files:
            if keeps_nothing(self._recording_config):
                raise NothingThere(f"Meeting {id} has no files. {NOTHING_KEPT}")
            raise NothingThere(_why_nothing(id, recordings, kinds))
        return files

    def link(self, id: int, file: File) -> str:
        """Return a fresh pre-signed link to a file. The link gives access: never store or log it.

        Raises:
            NothingThere: Recall no longer has a link to it.
            RecallError: Recall did not answer.
        """
        _, recordings = self._look_up(id, [file.kind])
        for recording in recordings:
            for medium in recording.media:
                if (recording.recall_recording_id, medium.kind) == (file.recording_id, file.kind):
                    link = medium.links.get(file.link_name)
                    if link:
                        return link
        raise NothingThere(f"Recall no longer has a link to {file.name}.")

    def download(
        self,
        id: int,
        file: File,
        folder: Path,
        progress: Progress = silent,
        *,
        attempts: int = _ATTEMPTS,
    ) -> Fetched | None:
        """Download a file into a folder, or resume an earlier download.

        Args:
            progress: called with how many bytes are downloaded, and of how many if known. An error
                that it raises ends the download.
            attempts: tries in a row without progress before giving up.

        Returns:
            What was downloaded; None where the file already exists.

        Raises:
            DownloadError: it is incomplete; the partial file is kept for the next call.
            NothingThere: Recall no longer has a link to it.
            RecallError: Recall did not answer.
        """
        target = inside(folder, file.name)
        if downloads.exists(target):
            return None
        return downloads.fetch(
            lambda: self.link(id, file),
            target,
            allowed_host=self._recall.base_url,
            timeout=self._timeout,
            progress=progress,
            attempts=attempts,
        )

    def transcript(self, id: int, file: File, give_up_at: float | None = None) -> list[Part]:
        """Return a transcript's parts.

        Args:
            give_up_at: when to give up, by `time.monotonic()`; it is then tried only once.

        Raises:
            NothingThere: it is not available, or not a transcript.
            DownloadError: it could not be downloaded completely.
            RecallError: Recall did not answer.
        """

        def stop_in_time(done: int, total: int | None) -> None:
            if max(done, total or 0) > _MAX_TRANSCRIPT:
                raise NothingThere(f"The transcript of meeting {id} is too large.")
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise Incomplete(f"The transcript of meeting {id} arrives too slowly.")

        attempts = _ATTEMPTS if give_up_at is None else 1
        with tempfile.TemporaryDirectory(prefix="transcript-") as folder:
            fetched = self.download(id, file, Path(folder), stop_in_time, attempts=attempts)
            assert fetched, "an empty folder holds no file"
            try:
                return read_parts(json.loads(fetched.path.read_bytes()))
            except (NotATranscript, ValueError, RecursionError) as error:
                raise NothingThere(
                    f"The transcript of meeting {id} cannot be read: {error}"
                ) from None

    def done(self) -> Sequence[int]:
        """Return the ids of all meetings that are done, oldest first."""
        done = sa.select(CONNECTS.c.id).where(CONNECTS.c.state == "done").order_by(CONNECTS.c.id)
        with self._database.read() as connection:
            return connection.scalars(done).all()

    def _look_up(self, id: int, kinds: Sequence[str]) -> tuple[AnyRow, tuple[RecordingState, ...]]:
        with self._database.read() as connection:
            row = connection.execute(sa.select(CONNECTS).where(CONNECTS.c.id == id)).one_or_none()
        if row is None:
            raise NothingThere(
                f"There is no meeting {id}. `flask meetings list` shows the meetings."
            )
        if row.recall_id is None:
            raise NothingThere(
                f"Meeting {id} was never connected ({row.state}), so nothing was recorded."
            )
        try:
            audio = audio_count(self._recording_config, kinds)
            found = look_up(self._recall, row.recall_id, audio=audio)
        except RecallError as error:
            if error.status == 404:
                raise NothingThere(
                    f"Recall no longer has meeting {id}: it was deleted there, or it belongs to "
                    "another region."
                ) from None
            raise
        return row, found.recordings


def _why_nothing(id: int, recordings: Sequence[RecordingState], kinds: Sequence[str]) -> str:
    if not recordings:
        return f"Recall has no recording of meeting {id} yet. `flask meetings refresh {id}` asks."
    media = [medium for recording in recordings for medium in recording.media]
    wanted = [medium for medium in media if not kinds or medium.kind in kinds]
    if wanted:
        states = ", ".join(f"{medium.kind} is {medium.status}" for medium in wanted)
        return f"Nothing of meeting {id} can be downloaded now: {states}."
    what = " or ".join(kinds) if kinds else "media"
    have = ", ".join(sorted({medium.kind for medium in media})) or "nothing"
    states = ", ".join(recording.status for recording in recordings)
    return f"Meeting {id} has no {what}; it has {have} (recording: {states})."
