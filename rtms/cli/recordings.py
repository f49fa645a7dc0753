"""The commands that get recordings: refresh, link, download and transcript."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from models import CONNECTS
from rtms.cli import tables
from rtms.cli.downloading import download_all
from rtms.cli.meetings import meetings
from rtms.cli.options import RowId, as_json, fetch
from rtms.cli.output import JSON
from rtms.cli.waiting import Waiting
from rtms.jobs.follow import job as follow_job
from rtms.recall.errors import RecallError
from rtms.recordings import transcripts
from rtms.recordings.download_errors import DownloadError
from rtms.recordings.library import TRANSCRIPT, NothingThere, Recordings
from rtms.services import get_services

__all__ = ["meetings"]

VIDEO = "video_mixed"


@meetings.command("refresh")
@click.argument("ids", metavar="ID...", type=RowId(), nargs=-1, required=True)
@as_json
def meetings_refresh(ids: tuple[int, ...], as_json: bool) -> None:
    """Ask Recall for the status of meetings now, and save it."""
    services = get_services()
    results = []
    for number, id in enumerate(ids, start=1):
        row = _row(id)
        error: str | None = None
        if not row:
            error = f"There is no meeting {id}. `flask meetings list` shows the ids."
        elif row["recall_id"] is None:
            error = f"Meeting {id} was never connected, so Recall has nothing about it."
        else:
            with Waiting(f"Asking Recall about meeting {id} ({number} of {len(ids)})"):
                error = follow_job.refresh(
                    services.database, services.recall, services.config, id, row["recall_id"]
                )
            row = _row(id)
        results.append(
            {"id": id, "state": row.get("state"), "status": row.get("status"), "error": error}
        )
    if as_json:
        tables.print_json(results)
    for result in () if as_json else results:
        if result["error"]:
            click.echo(result["error"], err=True)
        else:
            click.echo(f"Meeting {result['id']} is {result['state']} (Recall: {result['status']}).")
    if any(result["error"] for result in results):
        raise click.exceptions.Exit(1)


@meetings.command("link")
@click.argument("id", type=RowId())
@click.option("--kind", default=VIDEO, show_default=True, help="Recall's name of the medium.")
@as_json
def meetings_link(id: int, kind: str, as_json: bool) -> None:
    """Print a fresh link to a meeting's video, or to another medium.

    Anyone who has the link can use it for some hours. Do not store it: ask for a fresh one.
    """
    recordings = _recordings()
    with _plain_failures(), Waiting(f"Asking Recall about meeting {id}"):
        files = recordings.files(id, [kind])
        links = [(file, recordings.link(id, file)) for file in files]
    if as_json:
        tables.print_json(
            [
                {
                    "recording": file.recording_id,
                    "kind": file.kind,
                    "name": file.name,
                    "url": url,
                    "error": None,
                }
                for file, url in links
            ]
        )
    else:
        for _, url in links:
            click.echo(url)


@meetings.command("download")
@click.argument("ids", metavar="[ID...]", type=RowId(), nargs=-1)
@click.option("--all-done", is_flag=True, help="Download every meeting that is done.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default="recordings",
    show_default=True,
    help="The folder, which is created if needed.",
)
@click.option("--kind", "kinds", multiple=True, help="Only this medium; may be repeated.")
@as_json
def meetings_download(
    ids: tuple[int, ...], all_done: bool, to: Path, kinds: tuple[str, ...], as_json: bool
) -> None:
    """Download meetings' recordings: video, transcript and everything else Recall has.

    Files that exist are skipped, and partial ones are resumed. Exit 1 if anything
    could not be downloaded.
    """
    if bool(ids) == all_done:
        raise click.UsageError("Give the ids of meetings, or --all-done.")
    recordings = _recordings()
    wanted = recordings.done() if all_done else ids
    if not (wanted or as_json):
        click.echo("No meeting is done yet.", err=True)
    downloaded = []
    for each in download_all(recordings, wanted, kinds, to):
        downloaded.append(each)
        if not as_json:
            click.echo(each.line(), err=each.error is not None)
    if as_json:
        tables.print_json([asdict(each) for each in downloaded])
    if any(each.error for each in downloaded):
        raise click.exceptions.Exit(1)


@meetings.command("transcript")
@click.argument("id", type=RowId())
@click.option("--format", type=click.Choice(transcripts.FORMATS), default="txt", show_default=True)
@click.option(
    "--recording", type=click.IntRange(1), help="Which recording, if the meeting has several."
)
@click.option(JSON, "as_json", is_flag=True, help="Same as --format json, with errors as JSON too.")
def meetings_transcript(
    id: int, format: transcripts.Format, recording: int | None, as_json: bool
) -> None:
    """Print a meeting's transcript: text to read, captions (vtt, srt) or JSON."""
    recordings = _recordings()
    with _plain_failures(), Waiting(f"Fetching the transcript of meeting {id}"):
        files = [
            file
            for file in recordings.files(id, [TRANSCRIPT])
            if file.link_name == "download_url" and recording in (None, file.index)
        ]
        if not files:
            raise NothingThere(f"Meeting {id} has no transcript of recording {recording}.")
        if len(files) > 1:
            numbers = ", ".join(str(file.index) for file in files)
            raise NothingThere(
                f"Meeting {id} has several recordings. Choose one with --recording ({numbers})."
            )
        parts = recordings.transcript(id, files[0])
    click.echo(transcripts.render(parts, "json" if as_json else format), nl=False)


def _row(id: int) -> dict[str, Any]:
    rows = fetch(sa.select(CONNECTS).where(CONNECTS.c.id == id))
    return rows[0] if rows else {}


def _recordings() -> Recordings:
    services = get_services()
    return Recordings(services.database, services.recall, services.config)


@contextmanager
def _plain_failures() -> Iterator[None]:
    try:
        yield
    except (NothingThere, RecallError, DownloadError) as error:
        raise click.ClickException(str(error)) from None
