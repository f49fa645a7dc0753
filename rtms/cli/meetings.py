"""The commands that list, show, retry and prune meetings."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
import sqlalchemy as sa

from models import CONNECTS, EVENTS, RECORDINGS, State
from rtms import clock
from rtms.cli import tables
from rtms.cli.options import Commands, Id, RowId, as_json, fetch, page, received
from rtms.cli.output import answer
from rtms.cli.pruning import age_text, confirm, counted, deleting, older_than
from rtms.cli.streams import UNANSWERED, check_credentials, report, send
from rtms.cli.waiting import Waiting
from rtms.intake.events_without_stream import about_meeting
from rtms.restart_chain import read_chain
from rtms.services import get_services
from rtms.states import explain
from rtms.stream_gap import restarts, sentences
from rtms.text import search_text, typed_number
from rtms.zoom.stop_reasons import stop_reason_text

SHORTEST_PREFIX = 6  # characters of a stream id, as in the dashboard's search

# All columns but the search copy of the topic.
COLUMNS = tuple(column for column in CONNECTS.c if column.name != "topic_search")

meetings = Commands(
    "meetings",
    help="List, retry and prune meetings, and get their recordings.",
    more="rtms.cli.recordings",
)


@meetings.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(s) for s in State]),
    help="Only meetings in this state; may be repeated.",
)
@click.option("--meeting", type=Id(), help="Only this meeting: its number or its UUID.")
@click.option(
    "--search", type=Id(), help="Only meetings with this in the topic, or with this number or id."
)
@page
def meetings_list(
    states: tuple[str, ...],
    meeting: str | None,
    search: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List meetings, newest first."""
    wanted = sa.select(*COLUMNS).order_by(CONNECTS.c.id.desc()).limit(limit)
    if states:
        wanted = wanted.where(CONNECTS.c.state.in_(states))
    if meeting:
        wanted = wanted.where(_is_called(meeting))
    if search:
        wanted = wanted.where(_has(search))
    rows = fetch(received(wanted, CONNECTS, since, until))
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_meetings(rows)
    else:
        click.echo(
            "No meetings match."
            if states or meeting or search or since or until
            else "No meetings yet. A meeting appears here when Zoom starts its stream."
        )


def _is_called(meeting: str) -> sa.ColumnElement[bool]:
    number = typed_number(meeting) or meeting
    return sa.or_(CONNECTS.c.meeting_id == number, CONNECTS.c.meeting_uuid == meeting)


def _has(text: str) -> sa.ColumnElement[bool]:
    """Return the condition of a search, the same as in the dashboard's."""
    c = CONNECTS.c
    ids = (c.operator_id, c.account_id, c.host_id, c.recall_id)
    ways = [
        _is_called(text),
        *(column == text for column in ids),
        c.rtms_stream_id.startswith(text, autoescape=True)
        if len(text) >= SHORTEST_PREFIX
        else c.rtms_stream_id == text,
    ]
    number = typed_number(text) or ""
    if 0 < len(number) < 19:
        ways.append(c.id == int(number))
    if topic := search_text(text):
        ways.append(c.topic_search.contains(topic, autoescape=True))
    return sa.or_(*ways)


@meetings.command(
    "show",
    unanswered={
        **dict.fromkeys([*(c.name for c in COLUMNS), "restart_of", "gap_seconds"]),
        "events": [],
        "recordings": [],
    },
)
@click.argument("id", type=RowId())
@as_json
def meetings_show(id: int, as_json: bool) -> None:
    """Show one meeting: its row, what its state means, and its webhook events."""
    rows = fetch(sa.select(*COLUMNS).where(CONNECTS.c.id == id))
    if not rows:
        raise click.ClickException(
            f"There is no meeting {id}. `flask meetings list` shows the ids."
        )
    row = rows[0]
    events = fetch(
        sa.select(EVENTS)
        .where(EVENTS.c.rtms_stream_id == row["rtms_stream_id"])
        .order_by(EVENTS.c.id)
    )
    with get_services().database.read() as connection:
        events += about_meeting(connection, row)
        chain = restarts(read_chain(connection, id), id)
    events.sort(key=lambda event: event["id"])
    recordings = fetch(
        sa.select(RECORDINGS)
        .where(RECORDINGS.c.meeting_direct_connect_id == id)
        .order_by(RECORDINGS.c.id)
    )
    row |= {"restart_of": chain.restart_of, "gap_seconds": chain.gap_seconds}
    if as_json:
        answer({**row, "events": events, "recordings": recordings})
        return
    means = explain(row, clock.now(), chain)
    meaning = " ".join([means.what, *sentences(chain), means.todo])
    if row["stopped_at"]:
        row["stop_reason"] = f"{row['stop_reason']}: {stop_reason_text(row['stop_reason'])}"
    tables.print_fields({"id": id, "topic": row["topic"], **row, "meaning": meaning})
    for recording in recordings:
        click.echo()
        media = ", ".join(f"{kind} {status}" for kind, status in recording["media"].items())
        archived = recording["archived_media"]
        kinds = None if archived is None else ", ".join(archived)
        tables.print_fields({**recording, "media": media, "archived_media": kinds})
    if events:
        click.echo("\nWebhook events of this stream and its meeting:")
        tables.print_events(events, with_stream=False)


@meetings.command("retry")
@click.argument("ids", metavar="ID...", type=RowId(), nargs=-1, required=True)
@as_json
def meetings_retry(ids: tuple[int, ...], as_json: bool) -> None:
    """Connect failed meetings again, now. This overrides the connect window: Zoom may have closed
    the stream by then."""
    from rtms.jobs.connect import manual_retry

    services = get_services()
    window = timedelta(seconds=services.config.connect_window_seconds)
    results = [manual_retry.retry(services.database, id, window=window) for id in ids]
    if as_json:
        tables.print_json(
            [
                {
                    "id": result.id,
                    "retried": result.done,
                    "detail": result.detail,
                    "error": None if result.done else result.detail,
                }
                for result in results
            ]
        )
    else:
        for result in results:
            click.echo(result.detail, err=not result.done)
    if not all(result.done for result in results):
        raise click.exceptions.Exit(1)


@meetings.command("restart", unanswered=UNANSWERED)
@click.argument("id", type=RowId())
@as_json
def meetings_restart(id: int, as_json: bool) -> None:
    """Ask Zoom to start a meeting's stream again, and record the rest of it."""
    from rtms.jobs.restart import by_hand

    services = get_services()
    check_credentials(services)
    report(send(services, by_hand.wanted_restart(services.database, id)), as_json)


@meetings.command("prune", unanswered=dict.fromkeys(("deleted", "events", "kept")))
@older_than("90d")
def meetings_prune(older_than: timedelta, yes: bool, as_json: bool) -> None:
    """Delete old meetings that are over, with the rows of their recordings, attempts and events.
    Open meetings stay, and so does everything at Recall and in the archive."""
    from rtms.jobs.retention import job as retention_job

    services, before = get_services(), clock.now() - older_than
    archives = services.config.archive_url is not None
    with Waiting("Counting old meetings"):
        old = retention_job.count_old(services.database, before, archives=archives)
    if old.meetings and not yes:
        stay = f"Kept, because still open: {counted(old.open, 'meeting')}. " if old.open else ""
        confirm(
            f"{stay}Delete {counted(old.meetings, 'meeting')} older than {age_text(older_than)}, "
            "with the rows of their recordings, attempts and events?",
            as_json,
        )
    with deleting("meetings", old.meetings) as report:
        deleted = retention_job.prune_meetings(services.database, before, report, archives=archives)
    if as_json:
        answer({"deleted": deleted.meetings, "events": deleted.events, "kept": old.open})
    else:
        meetings, events = counted(deleted.meetings, "meeting"), counted(deleted.events, "event")
        click.echo(f"{meetings} and {events} deleted.")
