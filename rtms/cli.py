"""The commands: browse the table, mend it, and run what the web process runs without the web.

Exit codes: 0 done; 1 not found, or not possible; 2 wrong usage; 3 configuration; 4 the database
does not answer.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
import sqlalchemy as sa
import structlog
from flask import Flask
from flask.cli import AppGroup, ScriptInfo

import models
from models import CONNECTS, EVENTS, RECORDINGS, State
from rtms import clock, mend, migrate, tables
from rtms.database import DatabaseUnavailable
from rtms.services import services

_DRAIN_SECONDS = 25.0  # a PaaS kills 30 s after SIGTERM

log = structlog.get_logger()


class Moment(click.ParamType[datetime]):
    """A moment: an ISO 8601 time (UTC unless it says otherwise), or how long ago, as 90m."""

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
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: give 2026-11-22T09:30, or 90m, 12h or 7d ago.")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Span(click.ParamType[timedelta]):
    """A length of time: 90m, 12h or 30d."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            span = _span(value)
        except OverflowError:
            span = None
        if span is None:
            self.fail(f"{value!r} is no length of time: give 90m, 12h or 30d.")
        return span


def _span(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        return None
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


class DatabaseAway(click.ClickException):
    """The database does not answer, or is not migrated."""

    exit_code = 4


class Commands(AppGroup):
    """A group whose commands say plainly when the database is away."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DatabaseUnavailable as error:
            its = services(ctx.ensure_object(ScriptInfo).load_app())
            raise DatabaseAway(its.database.unfit() or str(error)) from None


F = TypeVar("F", bound=Callable[..., Any])
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def _page(command: F) -> F:
    """The options that every list has."""
    for option in (
        as_json,
        click.option(
            "--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows at most."
        ),
        click.option(
            "--until", type=Moment(), help="Received before: 2026-11-22T09:30, or 12h ago."
        ),
        click.option(
            "--since", type=Moment(), help="Received at or after: 2026-11-22T09:30, or 12h ago."
        ),
    ):
        command = option(command)
    return command


def _fail(message: str) -> click.ClickException:
    return click.ClickException(message)


# ---- meetings

meetings = Commands("meetings", help="The meetings, and how their connections stand.")


@meetings.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(s) for s in State]),
    help="Only these; may be repeated.",
)
@_page
def meetings_list(
    states: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List meetings, newest first."""
    wanted = sa.select(CONNECTS).order_by(CONNECTS.c.id.desc()).limit(limit)
    if states:
        wanted = wanted.where(CONNECTS.c.state.in_(states))
    rows = _fetch(_received(wanted, CONNECTS, since, until))
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_meetings(rows)
    else:
        click.echo("No meetings. Once Zoom reports a stream, it appears here.")


@meetings.command("show")
@click.argument("id", type=int)
@as_json
def meetings_show(id: int, as_json: bool) -> None:
    """Show one meeting: its row, what it means, and what Zoom said about it."""
    rows = _fetch(sa.select(CONNECTS).where(CONNECTS.c.id == id))
    if not rows:
        raise _fail(f"There is no meeting {id}. `flask meetings list` shows those there are.")
    row = rows[0]
    events = _fetch(
        sa.select(EVENTS)
        .where(EVENTS.c.rtms_stream_id == row["rtms_stream_id"])
        .order_by(EVENTS.c.id)
    )
    recordings = _fetch(
        sa.select(RECORDINGS)
        .where(RECORDINGS.c.meeting_direct_connect_id == id)
        .order_by(RECORDINGS.c.id)
    )
    if as_json:
        tables.print_json({**row, "events": events, "recordings": recordings})
        return
    tables.print_fields({**row, "meaning": tables.MEANINGS[row["reason"] or row["state"]]})
    for recording in recordings:
        click.echo()
        tables.print_fields(recording)
    if events:
        click.echo("\nWhat Zoom said about this stream:")
        tables.print_events(events)


@meetings.command("retry")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@as_json
def meetings_retry(ids: tuple[int, ...], as_json: bool) -> None:
    """Put failed meetings back, to be connected now. This overrides the window: whether Zoom still
    waits for the stream, nobody can know."""
    its = services()
    window = timedelta(seconds=its.config.connect_window_seconds)
    results = [mend.retry(its.database, id, window=window) for id in ids]
    if as_json:
        tables.print_json([{"id": r.id, "retried": r.done, "detail": r.detail} for r in results])
    else:
        for result in results:
            click.echo(result.detail, err=not result.done)
    if not all(result.done for result in results):
        raise click.exceptions.Exit(1)


# ---- events

events = Commands("events", help="The raw record: what arrived, and what was made of it.")


@events.command("list")
@click.option("--event", help="Only this one, as meeting.rtms_started.")
@click.option("--stream", help="Only about this rtms_stream_id; its beginning will do.")
@click.option(
    "--outcome",
    type=click.Choice(["accepted", "duplicate", "ignored", "unknown", "rejected"]),
    help="Only these.",
)
@_page
def events_list(
    event: str | None,
    stream: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List webhook events, newest first."""
    wanted = sa.select(EVENTS).order_by(EVENTS.c.id.desc()).limit(limit)
    if event:
        wanted = wanted.where(EVENTS.c.event == event)
    if stream:
        wanted = wanted.where(EVENTS.c.rtms_stream_id.startswith(stream, autoescape=True))
    if outcome:
        wanted = wanted.where(EVENTS.c.outcome.startswith(outcome, autoescape=True))
    rows = _fetch(_received(wanted, EVENTS, since, until))
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_events(rows)
    else:
        click.echo("No events. What Zoom delivers appears here.")


@events.command("show")
@click.argument("id", type=int)
@as_json
def events_show(id: int, as_json: bool) -> None:
    """Show one event, with its body as it came."""
    row = _event(id)
    if as_json:
        tables.print_json(row)
        return
    tables.print_fields({name: value for name, value in row.items() if name != "payload"})
    click.echo()
    tables.print_json(row["payload"])


@events.command("replay")
@click.argument("id", type=int)
@as_json
def events_replay(id: int, as_json: bool) -> None:
    """Run a stored event through the rules again, as if it had just arrived."""
    _event(id)
    taken = services().intake.replay(id)
    if taken is None:
        raise _fail(f"Event {id} is not one of Zoom's: there is nothing to replay.")
    if as_json:
        tables.print_json(
            {"id": id, "outcome": taken.outcome, "detail": taken.detail, "meeting": taken.row_id}
        )
    else:
        about = f" (meeting {taken.row_id})" if taken.row_id else ""
        click.echo(f"Event {id} was {taken.outcome}: {taken.detail}{about}.")
    if taken.outcome == "rejected":
        raise click.exceptions.Exit(1)


@events.command("prune")
@click.option(
    "--older-than",
    type=Span(),
    default="30d",
    show_default=True,
    help="Age of what goes: at least 1d.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def events_prune(older_than: timedelta, yes: bool, as_json: bool) -> None:
    """Delete old events from the raw record. Meetings stay."""
    if older_than < timedelta(days=1):
        raise click.UsageError(
            "At least a day is kept: Zoom delivers again up to 85 minutes later, and the record is "
            "what tells a second delivery from a first."
        )
    old = EVENTS.c.received_at < clock.now() - older_than
    count = _fetch(sa.select(sa.func.count().label("n")).select_from(EVENTS).where(old))[0]["n"]
    if count and not yes:
        click.confirm(f"Delete {count} events older than {older_than.days} days?", abort=True)
    deleted = mend.prune_events(services().database, old)
    if as_json:
        tables.print_json({"deleted": deleted})
    else:
        click.echo(f"{deleted} events deleted.")


# ---- db

db = Commands("db", help="The database's schema.")


@db.command("upgrade")
def db_upgrade() -> None:
    """Migrate the database to this version's schema."""
    database = services().database
    before = database.revision()
    migrate.upgrade(database)
    after = database.revision()
    click.echo(
        f"The database is at revision {after} already."
        if before == after
        else f"The database was migrated from {before or 'nothing'} to revision {after}."
    )


@db.command("current")
@as_json
def db_current(as_json: bool) -> None:
    """Print the database's revision; exit 1 where it is not the one this version needs."""
    database = services().database
    revision, problem = database.revision(), database.unfit()
    if as_json:
        tables.print_json(
            {"revision": revision, "needs": models.SCHEMA_REVISION, "ok": not problem}
        )
    else:
        click.echo(revision or "none")
        if problem:
            click.echo(problem, err=True)
    if problem:
        raise click.exceptions.Exit(1)


# ---- worker


@click.command("worker", cls=click.Command)
def worker() -> None:
    """Connect streams without serving the web, until SIGTERM or SIGINT."""
    its = services()
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    unfit = its.database.unfit()
    if unfit:
        log.error(unfit)
    dispatcher = its.start_dispatcher()
    log.info("worker started", threads=its.config.connect_threads)
    leaving.wait()
    log.info("worker stops; connects in flight finish")
    dispatcher.drain(_DRAIN_SECONDS)


def init_app(app: Flask) -> None:
    """Give an app its commands, and its shell what one wants at hand."""
    for group in (meetings, events, db):
        app.cli.add_command(group)
    app.cli.add_command(worker)

    @app.shell_context_processor
    def at_hand() -> dict[str, Any]:
        its = app.extensions["rtms"]
        return {
            "session": its.database.session(),
            "select": sa.select,
            "recall": its.recall,
            **{table.class_.__name__: table.class_ for table in models.Base.registry.mappers},
        }


# ---- what several commands do


def _fetch(statement: sa.Select[Any]) -> list[dict[str, Any]]:
    with services().database.read() as connection:
        return tables.as_dicts(connection.execute(statement))


def _received(
    wanted: sa.Select[Any],
    table: sa.FromClause,
    since: datetime | None,
    until: datetime | None,
) -> sa.Select[Any]:
    if since:
        wanted = wanted.where(table.c.received_at >= since)
    if until:
        wanted = wanted.where(table.c.received_at < until)
    return wanted


def _event(id: int) -> dict[str, Any]:
    rows = _fetch(sa.select(EVENTS).where(EVENTS.c.id == id))
    if not rows:
        raise _fail(f"There is no event {id}. `flask events list` shows those there are.")
    return rows[0]
