"""How rows look to people and to scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models import Product, Reason, State

_MAX_WIDTHS = {"Meeting": 14, "State": 15}  # characters; 36 are left for Recall's id, as a rule
_SHORT = 8  # characters of a stream's id that tell it from others on one page

_STYLES = {
    State.PENDING: "yellow",
    State.CONNECTED: "green",
    State.ENDED: "cyan",
    State.DONE: "bold green",
    State.FAILED: "bold red",
    State.SKIPPED: "dim",
}

# What each state and reason means, and what to do about it.
MEANINGS: dict[str, str] = {
    State.PENDING: "Being connected, by itself. If it stays so, `flask --app app doctor` says why.",
    State.CONNECTED: "Recall has the stream. Nothing to do.",
    State.ENDED: "The stream is over, or a newer connection took its place; what Recall has of it "
    "is being looked up.",
    State.DONE: "Every recording has reached an end.",
    Reason.REFUSED: "Recall said no for good. Mend what the error names, then `meetings retry`.",
    Reason.WINDOW_EXPIRED: "Recall was not reached while Zoom was waiting. If the meeting is still "
    "on, `meetings retry`.",
    Reason.RECALL_FAILED: "Recall says that no recording will come. Ask its support, with the "
    "Recall id.",
    Reason.STOPPED_FIRST: "The stream was over before it could be connected. Nothing to do.",
    Reason.UNSUPPORTED: "A Video SDK session: this app's credentials cannot connect it.",
    Reason.NOT_WANTED: "RECORD_STREAMS excludes this stream. Change it if it should be recorded.",
}


def print_json(value: object) -> None:
    """Print a value as JSON; times as ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, default=as_json))


def print_meetings(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print connections as a table, in the order given."""
    table = _table("ID", "Received (UTC)", "Meeting", "State", "At Recall")
    for row in rows:
        table.add_row(
            str(row["id"]),
            _moment(row["received_at"]),
            _called(row),
            Text(row["state"] + (f": {row['reason']}" if row["reason"] else ""), _style(row)),
            " ".join(filter(None, (row["recall_id"], row["status"], row["sub_code"]))),
        )
    _console().print(table)


def print_events(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print webhook events as a table, in the order given."""
    table = _table("ID", "Received (UTC)", "Event", "Stream", "Outcome")
    for row in rows:
        table.add_row(
            str(row["id"]),
            _moment(row["received_at"]),
            row["event"],
            (row["rtms_stream_id"] or "")[:_SHORT],
            row["outcome"],
        )
    _console().print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one row's fields, a line each; those without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None:
            shown = f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3] if isinstance(value, datetime) else value
            table.add_row(name, Text(str(shown)))
    _console().print(table)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for heading in headings:
        table.add_column(heading, overflow="fold", max_width=_MAX_WIDTHS.get(heading))
    return table


def _console() -> Console:
    # What Zoom and Recall say is text, never markup.
    return Console(markup=False, highlight=False, emoji=False)


def _called(row: Mapping[str, Any]) -> str:
    called: str = row["meeting_id"] or row["meeting_uuid"]
    return called if row["product"] == Product.MEETING else f"{row['product']} {called}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _style(row: Mapping[str, Any]) -> str:
    return _STYLES.get(row["state"], "")


def as_json(value: object) -> str:
    """A value that JSON has no form for: times as ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def as_dicts(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Result rows as dictionaries."""
    return [dict(row._mapping) for row in rows]
