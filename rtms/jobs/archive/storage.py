"""The place where recordings are kept (ARCHIVE_URL): a folder, or whatever fsspec has a driver for.

A folder gets its files straight: they come under another name and take their place whole. What is
elsewhere is uploaded from a temporary file. Either way a file counts only once its size was read
back. No error here holds the place's credentials.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rtms.recordings.filenames import UnsafeName, inside
from rtms.text import shown

_MAX_WORDS = 300  # characters of a driver's own words
# They have no folders, and making one would be making a bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})


class NotStored(Exception):
    """A file is not in the place where it is to be kept. The message says why."""


class Store:
    """The place. Nothing is opened before it is used.

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
        """The bytes of a file, as the place tells them now; None where there is none.

        Raises:
            NotStored: the place does not answer.
        """
        with self._plainly(name):
            filesystem, path = self._at(folder, name)
            filesystem.invalidate_cache()
            try:
                return int(filesystem.info(path)["size"])
            except FileNotFoundError:
                return None

    def read(self, folder: str, name: str, *, at_most: int) -> bytes | None:
        """Return a small file's content; None where there is none, or it has more bytes than that.

        Raises:
            NotStored: the place does not answer.
        """
        size = self.size(folder, name)
        if size is None or size > at_most:
            return None
        with self._plainly(name):
            filesystem, path = self._at(folder, name)
            with filesystem.open(path, "rb") as file:
                return bytes(file.read(at_most))

    def put(self, folder: str, name: str, bring: Callable[[Path], int]) -> int:
        """Store a file, in the place of what is there under its name.

        Args:
            bring: puts the whole file at a path, and returns how many bytes it has. What it raises
                is not caught.

        Returns:
            Its bytes, as they were read back.

        Raises:
            NotStored: it is not there, or not whole.
        """
        if self.is_folder:
            with self._plainly(name):
                target = inside(Path(self._at(folder)[1]), name)
                target.parent.mkdir(parents=True, exist_ok=True)
            brought = bring(target)
        else:
            brought = self._upload(folder, name, bring)
        stored = self.size(folder, name)
        if stored != brought:
            has = "is not there" if stored is None else f"has {stored:,} bytes there"
            raise NotStored(f"{name} {has} after {brought:,} bytes were stored.")
        return stored

    def _upload(self, folder: str, name: str, bring: Callable[[Path], int]) -> int:
        with tempfile.TemporaryDirectory(prefix="archive-") as staging:
            source = Path(staging) / name
            brought = bring(source)
            with self._plainly(name):
                filesystem, path = self._at(folder, name)
                if self._scheme not in _OBJECT_STORES:
                    filesystem.makedirs(self._at(folder)[1], exist_ok=True)
                if filesystem.exists(path):  # not every driver puts one file over another
                    filesystem.rm_file(path)
                filesystem.put_file(str(source), path)
        return brought

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(self._url)
        return filesystem, str(root).rstrip("/")

    def _at(self, *parts: str) -> tuple[Any, str]:
        filesystem, root = self._opened
        return filesystem, "/".join((root, *parts))

    @contextmanager
    def _plainly(self, name: str) -> Iterator[None]:
        """Whatever a driver raises, in its own words, but without what must stay secret."""
        why = ""
        try:
            yield
        except UnsafeName as error:
            why = str(error)
        except Exception as error:  # every driver has errors of its own
            why = self._words(error)
        if why:  # outside of the handler: the error caught there may hold credentials
            raise NotStored(f"{name} cannot be stored: {why}")

    def _words(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.strerror and error.errno:
            said = os.strerror(error.errno) if self.is_folder else str(error.strerror)
        else:
            said = str(error)
        for secret in self._secrets:
            said = said.replace(secret, "[hidden]")
        said = re.sub(r"\?\S+", "?[hidden]", said)
        said = re.sub(r"//[^/\s@]*@", "//[hidden]@", said)
        words = shown(said, _MAX_WORDS)
        return f"{type(error).__name__}: {words}" if words else type(error).__name__

    @cached_property
    def _secrets(self) -> list[str]:
        """What must not be shown of the URL, and of what drivers read from the environment."""
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
