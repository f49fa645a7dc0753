"""What the commands that delete old rows share."""

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
    """The options of a command that deletes: how old, without asking, as JSON."""

    def decorate(command: F) -> F:
        for option in (
            as_json,
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option(
                "--older-than",
                type=LengthOfTimeParam(),
                default=default,
                show_default=True,
                callback=_at_least_a_day,
                help="Age of what goes: at least 1d.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def age_text(age: timedelta) -> str:
    """Return a length of time as a person says it: 30 days, 36 hours."""
    hours = age // timedelta(hours=1)
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def counted(number: int, word: str) -> str:
    """A count and its word: 1 meeting, 2 meetings."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def confirm(question: str, as_json: bool) -> None:
    """Ask whether to go on; where JSON is wanted, not on the stdout that it goes to.

    Raises:
        click.Abort: the answer is no, or there is none.
    """
    click.confirm(question, abort=True, err=as_json)


@contextmanager
def deleting(what: str, count: int) -> Iterator[Callable[[Old], None]]:
    """Say how much is deleted while it is being deleted. Yields what is to be told of it.

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
            "At least a day is kept: Zoom delivers again up to 85 minutes later, and the record is "
            "what tells a second delivery from a first."
        )
    return age
