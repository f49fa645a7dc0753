"""Why a download failed, and the disk's errors as one of the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtms import disk_errors
from rtms.recordings.partial_file import Busy, Partial


class DownloadError(Exception):
    """A download failed. The message says what happened, to which file, and what to do."""

    passes = True  # False: a person must first fix what the message names


class LinkNotFollowed(DownloadError):
    """The link leads to a place that is not allowed."""


class CannotBeFetched(DownloadError):
    """This machine's settings make the request impossible."""

    passes = False


class LinkDenied(DownloadError):
    """The link was refused, and so was a fresh one."""


class Incomplete(DownloadError):
    """All tries ended before the medium was complete. The partial file is kept."""


class DiskFailed(DownloadError):
    """The file could not be written. The partial file is kept."""


class AlreadyRunning(DownloadError):
    """Another process is downloading the same file."""


@contextmanager
def on_disk(target: Path, partial: Partial | None = None) -> Iterator[None]:
    """Turn an error of the disk into a `DiskFailed`, and a file in use into an `AlreadyRunning`. Do
    only disk access inside, because errors of the network are OSErrors too."""
    try:
        yield
    except Busy:
        raise AlreadyRunning(
            f"{target.name} is being downloaded by another process: let it finish, or stop it "
            "first."
        ) from None
    except OSError as error:
        kept = "" if partial is None else f" {how_much_is_kept(partial)}"
        raise DiskFailed(
            f"{target.name} cannot be written to {target.parent}: {disk_errors.why(error)}.{kept}"
        ) from None


def how_much_is_kept(partial: Partial) -> str:
    """Return a sentence on what the next call can resume."""
    if partial.resumable_from == 0:
        return "Try again."
    return f"Its {partial.offset:,} bytes so far are kept: try again to resume the download."
