"""The storage for recordings (ARCHIVE_URL): a folder, or anything that fsspec has a driver for.

A file in a folder is written under a temporary name and renamed when it is complete. Elsewhere it
is uploaded from a temporary file. A file counts as stored once its size was read back. No error
here contains the storage's credentials.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rtms.recordings.filenames import UnsafeName, inside
from rtms.text import shown

_MAX_ERROR = 300  # characters of a driver's own error text
# They have no folders: making one would create a bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})


class NotStored(Exception):
    """A file could not be stored. The message says why."""


class Store:
    """The storage, opened when it is first used.

    Args:
        url: a folder, or a URL that fsspec understands.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        scheme, found, _ = url.partition("://")
        self._scheme = scheme if found else "file"

    def __repr__(self) -> str:
        return f"<Store {self._scheme}>"

    @property
    def is_folder(self) -> bool:
        """Whether it is on this machine's disk."""
        return self._scheme in ("file", "local")

    def size(self, folder: str, name: str) -> int | None:
        """Return a file's current size in bytes; None where there is no such file.

        Raises:
            NotStored: the storage does not answer.
        """
        with self._safe_errors(name):
            filesystem, path = self._at(folder, name)
            filesystem.invalidate_cache()
            try:
                return int(filesystem.info(path)["size"])
            except FileNotFoundError:
                return None

    def read(self, folder: str, name: str, *, at_most: int) -> bytes | None:
        """Return a file's content; None where there is no such file, or it has too many bytes.

        Raises:
            NotStored: the storage does not answer.
        """
        size = self.size(folder, name)
        if size is None or size > at_most:
            return None
        with self._safe_errors(name):
            filesystem, path = self._at(folder, name)
            with filesystem.open(path, "rb") as file:
                return bytes(file.read(at_most))

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder.

        Raises:
            NotStored: the storage does not answer.
        """
        with self._safe_errors(folder, "listed"):
            filesystem, path = self._at(folder)
            filesystem.invalidate_cache()
            try:
                return [str(each).rpartition("/")[2] for each in filesystem.ls(path, detail=False)]
            except FileNotFoundError:
                return []
        raise AssertionError("unreachable")

    def delete(self, folder: str, name: str) -> None:
        """Delete a file, if it is there.

        Raises:
            NotStored: the storage does not answer, or the file is still there.
        """
        with self._safe_errors(name, "deleted"):
            filesystem, path = self._at(folder, name)
            with suppress(FileNotFoundError):
                filesystem.rm_file(path)

    def put(self, folder: str, name: str, write: Callable[[Path], int]) -> int:
        """Store a file, replacing the one of that name.

        Args:
            write: writes the whole file to a path and returns its size in bytes. Its errors are
                not caught.

        Returns:
            The size in bytes, read back from the storage.

        Raises:
            NotStored: the file is missing or incomplete.
        """
        if self.is_folder:
            with self._safe_errors(name):
                target = inside(Path(self._at(folder)[1]), name)
                target.parent.mkdir(parents=True, exist_ok=True)
            written = write(target)
        else:
            written = self._upload(folder, name, write)
        stored = self.size(folder, name)
        if stored != written:
            has = "is missing" if stored is None else f"has {stored:,} bytes"
            raise NotStored(f"{name} {has} after {written:,} bytes were stored.")
        return stored

    def _upload(self, folder: str, name: str, write: Callable[[Path], int]) -> int:
        with tempfile.TemporaryDirectory(prefix="archive-") as staging:
            source = Path(staging) / name
            written = write(source)
            with self._safe_errors(name):
                filesystem, path = self._at(folder, name)
                if self._scheme not in _OBJECT_STORES:
                    filesystem.makedirs(self._at(folder)[1], exist_ok=True)
                if filesystem.exists(path):  # not every driver replaces a file
                    filesystem.rm_file(path)
                filesystem.put_file(str(source), path)
        return written

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(self._url)
        return filesystem, str(root).rstrip("/")

    def _at(self, *parts: str) -> tuple[Any, str]:
        filesystem, root = self._opened
        return filesystem, "/".join((root, *parts))

    @contextmanager
    def _safe_errors(self, name: str, what: str = "stored") -> Iterator[None]:
        """Turn any error of a driver into a `NotStored` without secrets."""
        why = ""
        try:
            yield
        except UnsafeName as error:
            why = str(error)
        except Exception as error:  # every driver has errors of its own
            why = self._error_text(error)
        if why:  # outside the except block, whose error may contain credentials
            raise NotStored(f"{name} cannot be {what}: {why}")

    def _error_text(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.strerror and error.errno:
            text = os.strerror(error.errno) if self.is_folder else str(error.strerror)
        else:
            text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        text = re.sub(r"\?\S+", "?[hidden]", text)
        text = shown(re.sub(r"//[^/\s@]*@", "//[hidden]@", text), _MAX_ERROR) or ""
        return f"{type(error).__name__}: {text}" if text else type(error).__name__

    @cached_property
    def _secrets(self) -> list[str]:
        """The secrets in the URL and in the environment variables that drivers read."""
        if self.is_folder:
            return []
        user, _, password = urlsplit(self._url).netloc.rpartition("@")[0].partition(":")
        named = [
            value
            for variable, value in os.environ.items()
            if re.search(r"KEY|SECRET|TOKEN|PASSWORD|CONNECTION_STRING", variable)
        ]
        secrets = {password, unquote(password), user, unquote(user), *named}
        return sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True)
