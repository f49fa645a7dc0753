"""A partial download: a hidden, locked file beside its target, with a note of its medium."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

# Only a strong ETag promises the same bytes (RFC 9110, 8.8.1 and 13.1.5).
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


class Busy(Exception):
    """Another process is downloading the same file."""


class Partial:
    """The bytes so far, in `.<name>.part`, and their medium, in `.<name>.part.json`. A process that
    is killed leaves both files and loses the lock.

    Attributes:
        offset: how many bytes there are.
        etag: the medium's strong ETag; None if it has none.
        length: the medium's size in bytes; None if unknown.

    Raises:
        Busy: another process has it open.
        OSError: the disk refused.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self._fresh_note = target.with_name(f".{target.name}.part.json.new")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._fd = _open_locked(self.path)
        self.offset = os.fstat(self._fd).st_size
        self.etag, self.length = _read(self._note)
        self._placed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.offset == 0 and not self._placed:  # nothing worth keeping
            with suppress(OSError):
                self._forget_files()
        os.close(self._fd)

    @property
    def resumable_from(self) -> int:
        """The byte to resume from. If all bytes are there, it is the last one: requesting that
        again shows whether the medium has changed."""
        if self.etag is None or self.length is None or self.offset > self.length:
            return 0
        return min(self.offset, max(self.length - 1, 0))

    def begin(self, etag: str | None, length: int | None) -> None:
        """Start again with this medium.

        The note is written after the old bytes are gone from the disk, so that no crash leaves the
        bytes of one medium with the note of another.
        """
        self.cut(0)
        os.fsync(self._fd)
        strong = etag if etag and _STRONG_ETAG.fullmatch(etag) else None
        self.etag, self.length = strong, length
        with self._fresh_note.open("w") as file:
            json.dump({"etag": strong, "length": length}, file)
            file.flush()
            os.fsync(file.fileno())
        self._fresh_note.replace(self._note)

    def forget(self) -> None:
        """Drop the bytes so far."""
        self.cut(0)
        self.etag = self.length = None

    def cut(self, offset: int) -> None:
        """Keep only the first bytes."""
        os.ftruncate(self._fd, offset)
        os.lseek(self._fd, offset, os.SEEK_SET)
        self.offset = offset

    def append(self, chunk: bytes) -> None:
        """Append bytes. On a full disk, those that fit are kept."""
        rest = memoryview(chunk)
        while rest:
            written = os.write(self._fd, rest)
            self.offset += written
            rest = rest[written:]

    def finish(self) -> None:
        """Move the complete file to its target, durably."""
        os.fsync(self._fd)
        self.path.replace(self.target)
        self._placed = True
        # At worst this is the note of another process that has just begun: it cannot be resumed.
        self._note.unlink(missing_ok=True)
        _sync(self.target.parent)

    def _forget_files(self) -> None:
        for note in (self._note, self._fresh_note):
            note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _open_locked(path: Path) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # If another process finished between the two calls, this is its completed file.
            if _is_still(path, fd):
                os.lseek(fd, 0, os.SEEK_END)
                return fd
        except BlockingIOError:
            os.close(fd)
            raise Busy from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _read(note: Path) -> tuple[str | None, int | None]:
    try:
        content: Any = json.loads(note.read_text())
        etag, length = content["etag"], content["length"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    if not isinstance(etag, str) or not _STRONG_ETAG.fullmatch(etag):
        return None, None
    return (etag, length) if type(length) is int and length >= 0 else (None, None)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
