"""Downloads the files of meetings one after another, and shows the progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.filesize import decimal

from rtms.cli import tables
from rtms.cli.waiting import Waiting
from rtms.recall.errors import RecallError
from rtms.recordings.download_errors import DownloadError
from rtms.recordings.filenames import UnsafeName, inside, label
from rtms.recordings.library import File, NothingThere, Recordings


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """The outcome for one file, or for a meeting that has none."""

    id: int  # the meeting's
    recording: str | None = None
    kind: str | None = None
    path: str | None = None
    bytes: int | None = None
    was_there: bool = False
    resumed_from: int = 0  # bytes that an earlier call downloaded
    error: str | None = None

    def line(self) -> str:
        """Return the outcome in a line for people."""
        if self.error:
            return self.error
        if self.was_there:
            return f"{self.path} is already downloaded."
        resumed = f", resumed at {decimal(self.resumed_from)}" if self.resumed_from else ""
        return f"{self.path} ({decimal(self.bytes or 0)}{resumed})"


def download_all(
    recordings: Recordings, ids: Sequence[int], kinds: Sequence[str], folder: Path
) -> Iterator[Downloaded]:
    """Download every file of some meetings into a folder. A failure does not stop the others.

    Args:
        ids: the meetings' rows.
        kinds: Recall's kinds of media to download; empty means all.
    """
    for number, id in enumerate(ids, start=1):
        try:
            with Waiting(f"Asking Recall about meeting {id} ({number} of {len(ids)})"):
                files = recordings.files(id, kinds)
        except (NothingThere, RecallError) as error:
            yield Downloaded(id=id, error=str(error))
            continue
        for file in files:
            yield _download(recordings, id, file, folder)


def _download(recordings: Recordings, id: int, file: File, folder: Path) -> Downloaded:
    about = Downloaded(id=id, recording=file.recording_id, kind=file.kind)
    try:
        with _shown(label(file.name)) as progress:
            fetched = recordings.download(id, file, folder, progress)
    except (DownloadError, NothingThere, RecallError, UnsafeName) as error:
        return replace(about, error=str(error))
    path = fetched.path if fetched else inside(folder, file.name)
    return replace(
        about,
        path=str(path),
        bytes=fetched.bytes if fetched else path.stat().st_size,
        was_there=fetched is None,
        resumed_from=fetched.resumed_from if fetched else 0,
    )


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on a terminal, or a line every few seconds elsewhere. Yield the function
    to call with the bytes downloaded and the total, if known."""
    if not sys.stderr.isatty():
        with Waiting(what) as waiting:
            yield lambda done, total: waiting.say(
                f"{what}: {decimal(done)}" + (f" of {decimal(total)}" if total else "")
            )
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    screen = tables.console(stderr=True)
    with Progress(*columns, TransferSpeedColumn(), console=screen, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
