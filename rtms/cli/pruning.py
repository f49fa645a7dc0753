"""What the commands that delete old rows share."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from rtms.cli.options import F, Span, as_json

if TYPE_CHECKING:
    from rtms.deletion import Old

_TELL_EVERY = 2.0  # seconds


def older_than(default: str) -> Callable[[F], F]:
    """The options of a command that deletes: how old, without asking, as JSON."""

    def decorate(command: F) -> F:
        for option in (
            as_json,
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option(
                "--older-than",
                type=Span(),
                default=default,
                show_default=True,
                callback=_at_least_a_day,
                help="Age of what goes: at least 1d.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def in_words(age: timedelta) -> str:
    """A length of time as a person says it: 30 days, 36 hours."""
    hours = age // timedelta(hours=1)
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def counted(number: int, word: str) -> str:
    """A count and its word: 1 meeting, 2 meetings."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def progress(what: str, count: int) -> Callable[[Old], None]:
    """Something that says on stderr, every two seconds, how much is deleted.

    Args:
        what: meetings or events.
        count: how many there are to delete.
    """
    said_at = time.monotonic()

    def tell(deleted: Old) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _TELL_EVERY:
            said_at = time.monotonic()
            click.echo(f"{getattr(deleted, what):,} of {count:,} {what} deleted ...", err=True)

    return tell


def _at_least_a_day(
    _context: click.Context, _parameter: click.Parameter, age: timedelta
) -> timedelta:
    from rtms.retention import LEAST_AGE

    if age < LEAST_AGE:
        raise click.UsageError(
            "At least a day is kept: Zoom delivers again up to 85 minutes later, and the record is "
            "what tells a second delivery from a first."
        )
    return age
