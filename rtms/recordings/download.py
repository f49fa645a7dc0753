"""Download a medium to disk in constant memory, with resuming; the file appears when complete.

A pre-signed link expires after some hours (Recall: recordings), so a refused link is replaced by a
fresh one. A partial file is kept beside the target, and only resumed if the medium has not changed
(RFC 9110: If-Range).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rtms.backoff import exponential
from rtms.recordings.download_errors import (
    CannotBeFetched,
    Incomplete,
    LinkDenied,
    LinkNotFollowed,
    how_much_is_kept,
    on_disk,
)
from rtms.recordings.partial_file import Partial
from rtms.recordings.presigned import LinkAnswer, LinkBroken, LinkRefused, Links, LinkUnusable

_FIRST_WAIT = 0.5  # seconds; doubled with every try in a row without progress
_LONGEST_WAIT = 8.0  # seconds
_MIN_PROGRESS = 256 * 1024  # bytes that a try must add to count as progress
_MAX_REFUSALS = 2  # of links in a row; the second link is fresh

# S3, where the links lead, also answers 403 if the link has expired, and 400 if its signer's
# session has.
_REFUSALS = {
    404: "the medium does not exist any more (404): Recall may have deleted it",
    410: "the medium does not exist any more (410): Recall may have deleted it",
}
_TEMPORARY = frozenset({408, 425, 429})
# Other codings, such as `aws-chunked`, are left in S3 by uploads and mean nothing.
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate", "compress", "br", "zstd"})

# Called with how many bytes are downloaded, and of how many if known.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A completely downloaded medium."""

    path: Path
    bytes: int
    resumed_from: int  # bytes from an earlier call


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """A try that did not complete the medium."""

    why: str
    refused: bool = False  # whether a fresh link may help


def exists(target: Path) -> bool:
    """Return whether a file is completely downloaded. (A partial file has another name.)"""
    return target.is_file()


def silent(done: int, total: int | None) -> None:
    """Show no progress."""


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
    """Download a medium. An existing file at `target` is replaced; see `exists`.

    Args:
        link: returns a fresh link. Its errors are not caught.
        target: the file; its folder is created.
        allowed_host: an origin that may be reached without TLS: a stand-in's `http://host:port`.
        progress: called with how many bytes are downloaded, and of how many if known.
        timeout: seconds to connect, and again for each read.
        attempts: tries in a row without progress before giving up.
        pause: waits a number of seconds between two tries.

    Raises:
        a kind of DownloadError.
    """
    with on_disk(target):
        partial = Partial(target)
    with partial, Links(allowed_host, timeout) as links:
        download = _Download(links, partial, progress)
        url = link()
        failures = refusals = 0
        furthest = partial.resumable_from
        while (failure := download.attempt(url)) is not None:
            if partial.offset >= furthest + _MIN_PROGRESS:
                failures, furthest = 0, partial.offset
            failures += 1
            refusals = refusals + 1 if failure.refused else 0
            if refusals >= _MAX_REFUSALS:
                raise LinkDenied(
                    f"{target.name} was not downloaded: {failure.why}. `meetings refresh` shows "
                    "what Recall says about it."
                )
            if failure.refused:
                url = link()
                continue
            if failures >= attempts:
                raise Incomplete(
                    f"{target.name} is incomplete: {failure.why}. {how_much_is_kept(partial)}"
                )
            pause(exponential(failures, first=_FIRST_WAIT, longest=_LONGEST_WAIT))
        size = partial.offset
        with on_disk(target, partial):
            partial.finish()
        return Fetched(path=target, bytes=size, resumed_from=download.resumed_from or 0)


class _Download:
    def __init__(self, links: Links, partial: Partial, progress: Progress) -> None:
        self._links = links
        self._partial = partial
        self._progress = progress
        self.resumed_from: int | None = None  # None: nothing was downloaded yet

    def attempt(self, url: str) -> _Failure | None:
        """Download what is missing. Return None once the file is complete."""
        partial, target = self._partial, self._partial.target
        start, headers = partial.resumable_from, {}
        if start > 0 and partial.etag is not None:
            headers = {"Range": f"bytes={start}-", "If-Range": partial.etag}
        refused = unusable = ""
        try:
            with self._links.open(url, headers) as answer:
                return self._prepare(answer, start) or self._receive(answer)
        except LinkRefused as error:
            refused = str(error)
        except LinkUnusable as error:
            unusable = str(error)
        except LinkBroken as error:
            return _Failure(why=str(error))
        # Outside the except blocks, so that the new error has no context.
        if unusable:
            raise CannotBeFetched(f"{target.name} was not downloaded: {unusable}.")
        raise LinkNotFollowed(
            f"{target.name} was not downloaded. {refused}. (A stand-in's http is allowed if "
            "RECALL_BASE_URL names it.)"
        )

    def _prepare(self, answer: LinkAnswer, start: int) -> _Failure | None:
        """Prepare the partial file for a response's bytes."""
        partial = self._partial
        if answer.headers.get("Content-Encoding", "").lower() in _COMPRESSED:
            return _Failure(why="its server sends it compressed, though that was not requested")
        if answer.status in (206, 416) and start > 0:  # 416: it is shorter now
            if answer.status == 416 or not self._continues(answer, start):
                return self._forget("it changed while it was downloaded")
            with on_disk(partial.target, partial):
                partial.cut(start)
            if self.resumed_from is None:
                self.resumed_from = start
        elif answer.status == 200:
            length = answer.length()
            if length is None and "chunked" not in answer.headers.get("Transfer-Encoding", ""):
                return _Failure(why="its server does not say how long it is")
            with on_disk(partial.target, partial):
                partial.begin(answer.headers.get("ETag"), length)
            self.resumed_from = 0
        else:
            return _refusal(answer.status)
        return None

    def _continues(self, answer: LinkAnswer, start: int) -> bool:
        """Return whether a response is the rest of the partial file's medium."""
        partial = self._partial
        span = re.fullmatch(
            r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", answer.headers.get("Content-Range", "")
        )
        same = answer.headers.get("ETag", partial.etag) == partial.etag
        return same and span is not None and (int(span[1]), int(span[3])) == (start, partial.length)

    def _receive(self, answer: LinkAnswer) -> _Failure | None:
        partial = self._partial
        self._progress(partial.offset, partial.length)
        for chunk in answer.chunks():
            if partial.length is not None and partial.offset + len(chunk) > partial.length:
                return self._forget("its server sent more bytes than announced")
            with on_disk(partial.target, partial):
                partial.append(chunk)
            self._progress(partial.offset, partial.length)
        if partial.length is not None and partial.offset < partial.length:
            return _Failure(why="the connection was cut")
        return None

    def _forget(self, why: str) -> _Failure:
        """Drop the bytes so far, so that the next try starts again."""
        with on_disk(self._partial.target, self._partial):
            self._partial.forget()
        return _Failure(why=why)


def _refusal(status: int) -> _Failure:
    if status >= 500 or status in _TEMPORARY:
        return _Failure(why=f"its server answered {status}")
    if 400 <= status < 500:
        why = _REFUSALS.get(status, f"its link is refused ({status}), and so is a fresh one")
        return _Failure(why=why, refused=True)
    return _Failure(why=f"its server answered {status}, which was not expected")
