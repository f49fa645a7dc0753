"""What becomes of a command whose output cannot be written, as to a disk that is full."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from rtms import disk

# What writing to an open file may end in. EIO: the disk is broken, or the terminal is gone.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Command(click.Command):
    """A command, or a group of them, that says in words that its output cannot be written, and
    exits with 1. A reader who has read enough, such as `head`, ends it without words."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _in_words():  # --help is printed here
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _in_words():
            return super().invoke(ctx)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        for stream in (sys.stdout, sys.stderr):
            _drop_what_is_left(stream)
        raise click.ClickException(
            f"The output could not be written: {disk.why(error)}. What was printed is not all."
        ) from None
    except UnicodeEncodeError as error:
        if error.encoding != sys.stdout.encoding:
            raise
        raise click.ClickException(
            f"The output could not be written: {error.encoding} has no "
            f"{error.object[error.start]!a}. Set PYTHONIOENCODING=utf-8, then try again."
        ) from None


def _drop_what_is_left(stream: Any) -> None:
    """Let Python not try again when it exits, and complain. A stream that works is left alone."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
