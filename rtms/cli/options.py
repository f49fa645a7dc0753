"""Options and argument types that several commands share."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

import click
import sqlalchemy as sa
from flask.cli import AppGroup

from rtms import clock
from rtms.cli.output import JSON, Command
from rtms.cli.waiting import Waiting
from rtms.rows import as_dicts
from rtms.services import get_services
from rtms.text import typed

_MOST = 2**63  # above every row's id


class MomentParam(click.ParamType[datetime]):
    """A moment: an ISO 8601 time (UTC unless it has an offset), or an age such as 90m."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            age = _span(value)
            if age is not None:
                return clock.now() - age
            moment = datetime.fromisoformat(value)
            # OverflowError: outside the calendar in UTC.
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time. Use 2026-11-22T09:30, 90m, 12h or 7d.", param, ctx)


class LengthOfTimeParam(click.ParamType[timedelta]):
    """A length of time: 90m, 12h or 30d."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            span = _span(value)
            if span is not None:
                clock.now() - span  # raises if that is outside the calendar
        except OverflowError:
            span = None
        if span is None:
            self.fail(f"{value!r} is not a length of time. Use 90m, 12h or 30d.", param, ctx)
        return span


class RowId(click.ParamType[int]):
    """A row's id. Invisible characters that were pasted with it are ignored."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(typed(str(value)))
        except ValueError:
            number = _MOST
        if abs(number) >= _MOST:
            self.fail(f"{value!r} is not an id, such as 7.", param, ctx)
        return number


class Id(click.ParamType[str]):
    """Any other id. Invisible characters that were pasted with it are ignored."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return typed(str(value))


def _span(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        return None
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


class NotConfigured(click.ClickException):
    """The configuration is missing or invalid, or the SQLite file cannot be opened."""

    exit_code = 3

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message without click's prefix, because it has several lines."""
        click.echo(self.message, file=file or sys.stderr)


class Commands(Command, AppGroup):
    """A group of commands, some of which may be in a module that is imported when needed.

    Args:
        more: the module with the other commands, imported when one of them or the list is needed.
    """

    command_class = Command

    def __init__(self, *args: Any, more: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._more = more

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._import_more()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.commands:
            self._import_more()
        return super().get_command(ctx, name)

    def _import_more(self) -> None:
        if self._more:
            importlib.import_module(self._more)


F = TypeVar("F", bound=Callable[..., Any])
as_json = click.option(JSON, "as_json", is_flag=True, help="Print JSON, for scripts.")


limit = click.option(
    "--limit",
    type=click.IntRange(1, _MOST - 1),
    default=50,
    show_default=True,
    help="Maximum number of rows.",
)


def page(command: F) -> F:
    """Add the options that every list has."""
    for option in (
        as_json,
        limit,
        click.option(
            "--until", type=MomentParam(), help="Received before: 2026-11-22T09:30, or 12h (age)."
        ),
        click.option(
            "--since",
            type=MomentParam(),
            help="Received at or after: 2026-11-22T09:30, or 12h (age).",
        ),
    ):
        command = option(command)
    return command


def fetch(statement: sa.Select[Any]) -> list[dict[str, Any]]:
    """Return the rows of a query, and say on stderr if it takes a while."""
    with Waiting("Reading the database"), get_services().database.read() as connection:
        return as_dicts(connection.execute(statement))


def received(
    wanted: sa.Select[Any], table: sa.FromClause, since: datetime | None, until: datetime | None
) -> sa.Select[Any]:
    """Return the query limited to rows received from `since` on and before `until`."""
    if since:
        wanted = wanted.where(table.c.received_at >= since)
    if until:
        wanted = wanted.where(table.c.received_at < until)
    return wanted
