"""How a command ends: with its answer, or with what went wrong, in words or in JSON.

With --json there is JSON on stdout in every case. An answer that is an object has the same keys
whether the command succeeded or not; one of them is `error`, the message, or null. Where the answer
is a list, and the command could not begin, an object that has `error` alone stands in its place.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from rtms import disk_errors
from rtms.cli import tables
from rtms.db.errors import DatabaseUnavailable
from rtms.services import services

JSON = "--json"

# What writing to an open file may end in. EIO: the disk is broken, or the terminal is gone.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class DatabaseAway(click.ClickException):
    """The database does not answer, or is not migrated."""

    exit_code = 4


class Unwritable(click.ClickException):
    """The output cannot be written."""


class Command(click.Command):
    """A command, or a group of them, that says plainly why it could not do its work. A reader who
    has read enough, such as `head`, ends it without words.

    Args:
        unanswered: the keys of its JSON, but for `error`, and their values where it could not do
            its work; none where its answer is a list.
    """

    def __init__(
        self, *args: Any, unanswered: Mapping[str, object] | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._unanswered = unanswered or {}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **more: Any,
    ) -> click.Context:
        wants_json = JSON in args  # asked before they are read, which uses them up
        with _written(), self._told(as_json=wants_json):  # --help is printed here
            context = super().make_context(info_name, args, parent, **more)
        context.meta[JSON] = wants_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with _written(), self._told(as_json=ctx.meta[JSON]):
            return super().invoke(ctx)

    @contextmanager
    def _told(self, *, as_json: bool) -> Iterator[None]:
        failure: click.ClickException
        try:
            yield
            return
        except DatabaseUnavailable as error:
            failure = DatabaseAway(services().database.unfit() or str(error))
        except click.ClickException as error:
            failure = error
        except click.Abort:
            if not as_json:
                raise
            failure = click.ClickException("It was not confirmed, so nothing was done.")
        if not as_json or isinstance(failure, Unwritable):
            raise failure from None
        answer(self._unanswered, error=failure.format_message())
        raise click.exceptions.Exit(failure.exit_code) from None


def answer(values: Mapping[str, Any], *, error: str | None = None) -> None:
    """Print an object as a command's JSON."""
    tables.print_json({**values, "error": error})


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        for stream in (sys.stdout, sys.stderr):
            _drop_what_is_left(stream)
        raise Unwritable(
            f"The output could not be written: {disk_errors.why(error)}. "
            "What was printed is not all."
        ) from None
    except UnicodeEncodeError as error:
        if error.encoding != sys.stdout.encoding:
            raise
        raise Unwritable(
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
