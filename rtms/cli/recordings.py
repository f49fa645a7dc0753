"""The commands that turn a meeting into files: refresh, link, download, transcript."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from models import CONNECTS
from rtms import refresh, tables, transcripts
from rtms.cli.meetings import meetings
from rtms.cli.options import RowId, as_json, fail, fetch
from rtms.downloads import DownloadError
from rtms.recall import RecallError
from rtms.recordings import TRANSCRIPT, File, NothingThere, Recordings
from rtms.services import services

__all__ = ["meetings"]

VIDEO = "video_mixed"
_LINE_EVERY = 5.0  # seconds between two lines of progress in a log


@meetings.command("refresh")
@click.argument("ids", metavar="ID...", type=RowId(), nargs=-1, required=True)
@as_json
def meetings_refresh(ids: tuple[int, ...], as_json: bool) -> None:
    """Ask Recall about meetings now, and write down what it says."""
    its = services()
    results = []
    for id in ids:
        row = _row(id)
        error: str | None = None
        if not row:
            error = f"There is no meeting {id}. `flask meetings list` shows those there are."
        elif row["recall_id"] is None:
            error = f"Meeting {id} was never connected: Recall knows nothing of it."
        else:
            error = refresh.refresh(its.database, its.recall, its.config, id, row["recall_id"])
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
@click.option("--kind", default=VIDEO, show_default=True, help="Which medium, as Recall calls it.")
@as_json
def meetings_link(id: int, kind: str, as_json: bool) -> None:
    """Print a fresh link to a meeting's video, or to another medium.

    It works for some hours, for whoever has it. Keep it nowhere: ask for a fresh one.
    """
    recordings = _recordings()
    with _plain_failures():
        files = recordings.files(id, [kind])
        links = [(file, recordings.link(id, file)) for file in files]
    if as_json:
        tables.print_json(
            [
                {"recording": file.recording_id, "kind": file.kind, "name": file.name, "url": url}
                for file, url in links
            ]
        )
    else:
        for _, url in links:
            click.echo(url)


@meetings.command("download")
@click.argument("ids", metavar="[ID...]", type=RowId(), nargs=-1)
@click.option("--all-done", is_flag=True, help="Every meeting that is done.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default="recordings",
    show_default=True,
    help="The folder; it is made if need be.",
)
@click.option("--kind", "kinds", multiple=True, help="Only this medium; may be repeated.")
def meetings_download(
    ids: tuple[int, ...], all_done: bool, to: Path, kinds: tuple[str, ...]
) -> None:
    """Download meetings' recordings: video, transcript and whatever else Recall has.

    What is there already is skipped, and what broke off is resumed. Exit 1 if anything is missing
    in the end.
    """
    if bool(ids) == all_done:
        raise click.UsageError("Name meetings, or say --all-done.")
    recordings = _recordings()
    wanted = list(recordings.done()) if all_done else list(ids)
    if not wanted:
        click.echo("No meeting is done yet.", err=True)
    failed = 0
    for id in wanted:
        try:
            for file in recordings.files(id, kinds):
                failed += not _download(recordings, id, file, to)
        except (NothingThere, RecallError) as error:
            click.echo(str(error), err=True)
            failed += 1
    if failed:
        raise click.exceptions.Exit(1)


@meetings.command("transcript")
@click.argument("id", type=RowId())
@click.option("--format", type=click.Choice(transcripts.FORMATS), default="txt", show_default=True)
@click.option("--recording", type=click.IntRange(1), help="Which, where a meeting has several.")
def meetings_transcript(id: int, format: transcripts.Format, recording: int | None) -> None:
    """Print a meeting's transcript: text to read, captions (vtt, srt) or JSON."""
    recordings = _recordings()
    with _plain_failures():
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
                f"Meeting {id} has several recordings: name one with --recording ({numbers})."
            )
        parts = recordings.transcript(id, files[0])
    click.echo(transcripts.render(parts, format), nl=False)


def _row(id: int) -> dict[str, Any]:
    rows = fetch(sa.select(CONNECTS).where(CONNECTS.c.id == id))
    return rows[0] if rows else {}


def _recordings() -> Recordings:
    its = services()
    return Recordings(its.database, its.recall, its.config)


@contextmanager
def _plain_failures() -> Iterator[None]:
    try:
        yield
    except (NothingThere, RecallError, DownloadError) as error:
        raise fail(str(error)) from None


def _download(recordings: Recordings, id: int, file: File, folder: Path) -> bool:
    """Download one file and say so; returns whether it is there in the end."""
    try:
        with _shown(file.name) as progress:
            fetched = recordings.download(id, file, folder, progress)
    except (DownloadError, NothingThere, RecallError) as error:
        click.echo(str(error), err=True)
        return False
    if fetched is None:
        click.echo(f"{folder / file.name} is there already.")
    else:
        resumed = f", resumed at {decimal(fetched.resumed_from)}" if fetched.resumed_from else ""
        click.echo(f"{fetched.path} ({decimal(fetched.bytes)}{resumed})")
    return True


@contextmanager
def _shown(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Progress for people: a bar on a terminal, now and then a plain line in a log."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        console = Console(stderr=True, markup=False, highlight=False)
        with Progress(*columns, TransferSpeedColumn(), console=console) as bar:
            task = bar.add_task(name[-40:], total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    said_at = time.monotonic()

    def say(done: int, total: int | None) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _LINE_EVERY:
            said_at = time.monotonic()
            of = f" of {decimal(total)}" if total else ""
            click.echo(f"{name}: {decimal(done)}{of}", err=True)

    yield say
