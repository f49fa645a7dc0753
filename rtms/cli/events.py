"""The commands for recorded webhook events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click
import sqlalchemy as sa

from models import EVENTS
from rtms import clock
from rtms.cli import tables
from rtms.cli.options import Commands, Id, RowId, as_json, fetch, page, received
from rtms.cli.output import answer
from rtms.cli.pruning import age_text, confirm, counted, deleting, older_than
from rtms.services import get_services

events = Commands("events", help="List, show, replay and prune recorded webhook events.")


@events.command("list")
@click.option("--event", type=Id(), help="Only this event, such as meeting.rtms_started.")
@click.option("--stream", type=Id(), help="Only this rtms_stream_id; a prefix is enough.")
@click.option(
    "--outcome",
    type=click.Choice(["accepted", "duplicate", "ignored", "unknown", "rejected"]),
    help="Only events with this outcome.",
)
@page
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
    rows = fetch(received(wanted, EVENTS, since, until))
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_events(rows)
    else:
        click.echo(
            "No events match."
            if event or stream or outcome or since or until
            else "No events yet. Zoom's deliveries will appear here."
        )


@events.command("show", unanswered=dict.fromkeys(EVENTS.c.keys()))
@click.argument("id", type=RowId())
@as_json
def events_show(id: int, as_json: bool) -> None:
    """Show one event, with its body as received."""
    row = _event(id)
    if as_json:
        answer(row)
        return
    tables.print_fields({name: value for name, value in row.items() if name != "payload"})
    click.echo()
    tables.print_json(row["payload"])


@events.command("replay", unanswered=dict.fromkeys(("id", "outcome", "detail", "meeting")))
@click.argument("id", type=RowId())
@as_json
def events_replay(id: int, as_json: bool) -> None:
    """Run a stored event through the rules again, as if it had just arrived."""
    _event(id)
    taken = get_services().intake.replay(id)
    if taken is None:
        raise click.ClickException(f"Event {id} is not from Zoom, so it cannot be replayed.")
    if as_json:
        answer(
            {"id": id, "outcome": taken.outcome, "detail": taken.detail, "meeting": taken.row_id}
        )
    else:
        about = f" (meeting {taken.row_id})" if taken.row_id else ""
        click.echo(f"Event {id} was {taken.outcome}: {taken.detail}{about}.")
    if taken.outcome == "rejected":
        raise click.exceptions.Exit(1)


@events.command("prune", unanswered={"deleted": None})
@older_than("30d")
def events_prune(older_than: timedelta, yes: bool, as_json: bool) -> None:
    """Delete old events from the raw record. Meetings stay."""
    from rtms.jobs.retention import job as retention_job

    before = clock.now() - older_than
    old = sa.select(sa.func.count().label("n")).where(EVENTS.c.received_at < before)
    count = fetch(old)[0]["n"]
    if count and not yes:
        confirm(f"Delete {counted(count, 'event')} older than {age_text(older_than)}?", as_json)
    with deleting("events", count) as report:
        deleted = retention_job.prune_events(get_services().database, before, report)
    if as_json:
        answer({"deleted": deleted.events})
    else:
        click.echo(f"{counted(deleted.events, 'event')} deleted.")


def _event(id: int) -> dict[str, Any]:
    rows = fetch(sa.select(EVENTS).where(EVENTS.c.id == id))
    if not rows:
        raise click.ClickException(f"There is no event {id}. `flask events list` shows the ids.")
    return rows[0]
