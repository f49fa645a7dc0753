"""Brings a medium to disk: in constant memory, resumed where it broke off, put in place whole.

A link is pre-signed and stops working after some hours (Recall: recordings), so a fresh one is
asked for whenever the old one is refused. What has come so far is kept beside the file, and only
ever continued with the same medium (RFC 9110: If-Range).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rtms import disk_errors
from rtms.backoff import exponential
from rtms.recordings.partial_file import Busy, Partial
from rtms.recordings.presigned import LinkAnswer, LinkBroken, LinkRefused, Links, LinkUnusable

_FIRST_WAIT = 0.5  # seconds; doubled with every try in a row that brought nothing
_LONGEST_WAIT = 8.0  # seconds
_HEADWAY = 256 * 1024  # bytes that a try must bring to count as one that got somewhere
_MAX_REFUSALS = 2  # of links in a row, the second one fresh

# What an address says that will not give the medium. S3, where the links lead, says 403 to one
# that has expired, and 400 to one whose signer's session has.
_REFUSALS = {
    404: "the medium is not there any more (404): Recall may have deleted it",
    410: "the medium is not there any more (410): Recall may have deleted it",
}
_PASSING = frozenset({408, 425, 429})
# Others, such as `aws-chunked`, are left in S3 by uploads and mean nothing.
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate", "compress", "br", "zstd"})


# Is told how many bytes are there, and of how many if that is known.
Progress = Callable[[int, int | None], None]


class DownloadError(Exception):
    """A medium is not on disk. The message says what happened, to which file, and what to do."""

    passes = True  # False: it stays so until somebody mends what the message names


class LinkNotFollowed(DownloadError):
    """The link leads where it must not."""


class CannotBeFetched(DownloadError):
    """No request for it can be sent from this machine as it is set up."""

    passes = False


class LinkDenied(DownloadError):
    """The link is refused, and so is a fresh one."""


class BrokenOff(DownloadError):
    """The medium did not come whole, however often it was tried. What came is kept."""


class DiskTrouble(DownloadError):
    """The file cannot be written. What came is kept."""


class UnderWay(DownloadError):
    """Another process is downloading the same file."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A medium that is on disk, whole."""

    path: Path
    bytes: int
    resumed_from: int  # bytes that an earlier call had brought


@dataclass(frozen=True, kw_only=True)
class _Setback:
    """A try that did not bring the medium whole."""

    why: str
    refused: bool = False  # the link, so that a fresh one is worth a try


def exists(target: Path) -> bool:
    """Whether the file is there. Then it is whole: a partial one has another name."""
    return target.is_file()


def silent(done: int, total: int | None) -> None:
    """No progress to be shown."""


def fetch(
    link: Callable[[], str],
    target: Path,
    *,
    allowed_host: str | None = None,
    progress: Progress = silent,
    timeout: float,
    attempts: int = 5,
    pause: Callable[[float], object] = time.sleep,
) -> Fetched:
    """Download a medium. What is at `target` already is replaced; see `exists`.

    Args:
        link: gives a fresh link. What it raises is not caught.
        target: where to put it; the folder is made.
        allowed_host: an origin that may be reached without TLS: a stand-in's `http://host:port`.
        progress: is told how many bytes are there, and of how many if that is known.
        timeout: seconds to connect, and again for each read.
        attempts: tries in a row that bring nothing, before giving up.
        pause: waits so many seconds between two tries.

    Raises:
        a kind of DownloadError.
    """
    with _on_disk(target):
        partial = _open(target)
    with partial, Links(allowed_host, timeout) as links:
        download = _Download(links, partial, progress)
        url = link()
        setbacks = refusals = 0
        furthest = partial.resumable_from
        while (setback := download.attempt(url)) is not None:
            if partial.offset >= furthest + _HEADWAY:
                setbacks, furthest = 0, partial.offset
            setbacks += 1
            refusals = refusals + 1 if setback.refused else 0
            if refusals >= _MAX_REFUSALS:
                raise LinkDenied(
                    f"{target.name} was not downloaded: {setback.why}. `meetings refresh` shows "
                    "what Recall says about it."
                )
            if setback.refused:
                url = link()
                continue
            if setbacks >= attempts:
                raise BrokenOff(
                    f"{target.name} did not come whole: {setback.why}. {_kept(partial)}"
                )
            pause(exponential(setbacks, first=_FIRST_WAIT, longest=_LONGEST_WAIT))
        size = partial.offset
        with _on_disk(target, partial):
            partial.finish()
        return Fetched(path=target, bytes=size, resumed_from=download.resumed_from or 0)


class _Download:
    def __init__(self, links: Links, partial: Partial, progress: Progress) -> None:
        self._links = links
        self._partial = partial
        self._progress = progress
        self.resumed_from: int | None = None  # None: nothing has come yet

    def attempt(self, url: str) -> _Setback | None:
        """Get what is missing. None: it is all there."""
        partial, target = self._partial, self._partial.target
        start, headers = partial.resumable_from, {}
        if start > 0 and partial.etag is not None:
            headers = {"Range": f"bytes={start}-", "If-Range": partial.etag}
        refused = unusable = ""
        try:
            with self._links.open(url, headers) as answer:
                return self._place(answer, start) or self._receive(answer)
        except LinkRefused as error:
            refused = str(error)
        except LinkUnusable as error:
            unusable = str(error)
        except LinkBroken as error:
            return _Setback(why=str(error))
        # Outside of the handlers, so that no error caught there travels along.
        if unusable:
            raise CannotBeFetched(f"{target.name} was not downloaded: {unusable}.")
        raise LinkNotFollowed(
            f"{target.name} was not downloaded. {refused}. (A stand-in's http is followed where "
            "RECALL_BASE_URL names it.)"
        )

    def _place(self, answer: LinkAnswer, start: int) -> _Setback | None:
        """Decide where the bytes of this answer belong."""
        partial = self._partial
        if answer.headers.get("Content-Encoding", "").lower() in _COMPRESSED:
            return _Setback(why="it comes compressed, which was not asked for")
        if answer.status == 206 and start > 0:
            if not self._continues(answer, start):
                with _on_disk(partial.target, partial):
                    partial.forget()
                return _Setback(why="it changed while it was downloaded")
            with _on_disk(partial.target, partial):
                partial.cut(start)
            if self.resumed_from is None:
                self.resumed_from = start
        elif answer.status == 200:
            length = _length(answer)
            if length is None and "chunked" not in answer.headers.get("Transfer-Encoding", ""):
                return _Setback(why="its length is not told, so nobody can tell when it is whole")
            with _on_disk(partial.target, partial):
                partial.begin(answer.headers.get("ETag"), length)
            self.resumed_from = 0
        elif answer.status == 416 and start > 0:  # it is shorter now, so it is another one
            with _on_disk(partial.target, partial):
                partial.forget()
            return _Setback(why="it changed while it was downloaded")
        else:
            return _refusal(answer.status)
        return None

    def _continues(self, answer: LinkAnswer, start: int) -> bool:
        """Whether this is the rest of the medium we have the beginning of."""
        partial = self._partial
        span = re.fullmatch(
            r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", answer.headers.get("Content-Range", "")
        )
        same = answer.headers.get("ETag", partial.etag) == partial.etag
        return same and span is not None and (int(span[1]), int(span[3])) == (start, partial.length)

    def _receive(self, answer: LinkAnswer) -> _Setback | None:
        partial = self._partial
        self._progress(partial.offset, partial.length)
        for chunk in answer.chunks():
            if partial.length is not None and partial.offset + len(chunk) > partial.length:
                with _on_disk(partial.target, partial):
                    partial.forget()
                return _Setback(why="more came than was announced")
            with _on_disk(partial.target, partial):
                partial.append(chunk)
            self._progress(partial.offset, partial.length)
        if partial.length is not None and partial.offset < partial.length:
            return _Setback(why="the connection was cut")
        return None


def _open(target: Path) -> Partial:
    try:
        return Partial(target)
    except Busy:
        pass
    raise UnderWay(
        f"{target.name} is being downloaded by another process: let it finish, or stop it first."
    )


def _refusal(status: int) -> _Setback:
    if status >= 500 or status in _PASSING:
        return _Setback(why=f"its server answered {status}")
    if 400 <= status < 500:
        why = _REFUSALS.get(status, f"its link is refused ({status}), and so is a fresh one")
        return _Setback(why=why, refused=True)
    return _Setback(why=f"its server answered {status}, which nobody asked for")


def _length(answer: LinkAnswer) -> int | None:
    text = answer.headers.get("Content-Length", "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _kept(partial: Partial) -> str:
    if partial.resumable_from == 0:
        return "Try again."
    return f"The {partial.offset:,} bytes that came are kept: try again, and it goes on there."


@contextmanager
def _on_disk(target: Path, partial: Partial | None = None) -> Iterator[None]:
    """What the disk refuses, in plain words. (The network's errors are OSErrors too, so only what
    touches the disk is done in here.)"""
    try:
        yield
    except OSError as error:
        kept = "" if partial is None else f" {_kept(partial)}"
        raise DiskTrouble(
            f"{target.name} cannot be written to {target.parent}: {disk_errors.why(error)}.{kept}"
        ) from None
