"""Options and prompts of the commands that delete old rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from rtms.cli.options import F, LengthOfTimeParam, as_json
from rtms.cli.waiting import Waiting

if TYPE_CHECKING:
    from rtms.jobs.retention.deletion import Old


def older_than(default: str) -> Callable[[F], F]:
    """Add the options of a command that deletes: --older-than, --yes and --json."""

    def decorate(command: F) -> F:
        for option in (
            as_json,
            click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
            click.option(
                "--older-than",
                type=LengthOfTimeParam(),
                default=default,
                show_default=True,
                callback=_at_least_a_day,
                help="Delete what is older than this; at least 1d.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def age_text(age: timedelta) -> str:
    """Return a length of time in words: 30 days, 36 hours."""
    hours = age // timedelta(hours=1)
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def counted(number: int, word: str) -> str:
    """Return a count and its noun: 1 meeting, 2 meetings."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def confirm(question: str, as_json: bool) -> None:
    """Ask whether to go on; on stderr where stdout is JSON.

    Raises:
        click.Abort: the answer was no, or stdin is closed.
    """
    click.confirm(question, abort=True, err=as_json)


@contextmanager
def deleting(what: str, count: int) -> Iterator[Callable[[Old], None]]:
    """Show the progress of a deletion. Yield the function that is called with it.

    Args:
        what: meetings or events.
        count: how many there are to delete.
    """
    with Waiting(f"Deleting {count:,} {what}") as waiting:
        yield lambda old: waiting.say(f"{getattr(old, what):,} of {count:,} {what} deleted")


def _at_least_a_day(
    _context: click.Context, _parameter: click.Parameter, age: timedelta
) -> timedelta:
    from rtms.jobs.retention.job import LEAST_AGE

    if age < LEAST_AGE:
        raise click.UsageError(
            "--older-than must be at least 1d: Zoom redelivers for up to 85 minutes, and recorded "
            "events are needed to recognise a redelivery."
        )
    return age
