"""Prints the answer or the error of a command, as text or as JSON.

With --json, stdout is JSON in every case. An object has the same keys after success and failure;
one of them is `error`, the message or null. A command that prints a list, and could not begin,
prints an object with only `error`.
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
from rtms.services import get_services

JSON = "--json"

# Errors of a write to an open file. EIO: the disk is broken, or the terminal is gone.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class DatabaseUnreachable(click.ClickException):
    """The database does not answer, or is not migrated."""

    exit_code = 4


class Unwritable(click.ClickException):
    """The output cannot be written."""


class Command(click.Command):
    """A command or group that reports errors as text or JSON, and ends silently when its reader
    stops reading, as `head` does.

    Args:
        unanswered: the JSON to print on failure, without `error`; empty for a command with a list.
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
        wants_json = JSON in args  # read first, because parsing empties `args`
        with _output_errors(), self._report_errors(as_json=wants_json):  # --help prints here
            context = super().make_context(info_name, args, parent, **more)
        context.meta[JSON] = wants_json
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with _output_errors(), self._report_errors(as_json=ctx.meta[JSON]):
            return super().invoke(ctx)

    @contextmanager
    def _report_errors(self, *, as_json: bool) -> Iterator[None]:
        failure: click.ClickException
        try:
            yield
            return
        except DatabaseUnavailable as error:
            failure = DatabaseUnreachable(get_services().database.unfit() or str(error))
        except click.ClickException as error:
            failure = error
        except click.Abort:
            if not as_json:
                raise
            failure = click.ClickException("Not confirmed, so nothing was done.")
        if not as_json or isinstance(failure, Unwritable):
            raise failure from None
        answer(self._unanswered, error=failure.format_message())
        raise click.exceptions.Exit(failure.exit_code) from None


def answer(values: Mapping[str, Any], *, error: str | None = None) -> None:
    """Print a command's JSON object."""
    tables.print_json({**values, "error": error})


@contextmanager
def _output_errors() -> Iterator[None]:
    """Raise Unwritable if the output cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        for stream in (sys.stdout, sys.stderr):
            _discard_unwritten(stream)
        raise Unwritable(
            f"The output could not be written: {disk_errors.why(error)}. "
            "The output above is incomplete."
        ) from None
    except UnicodeEncodeError as error:
        if error.encoding != sys.stdout.encoding:
            raise
        raise Unwritable(
            f"The output could not be written: {error.encoding} cannot encode "
            f"{error.object[error.start]!a}. Set PYTHONIOENCODING=utf-8 and try again."
        ) from None


def _discard_unwritten(stream: Any) -> None:
    """Discard the buffer of a stream that fails, which Python would try to write again at exit."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
