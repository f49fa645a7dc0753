"""Prints rows for people and for scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from models import Product, State
from rtms.rows import as_json
from rtms.states import UNAUTHENTICATED
from rtms.zoom.stop_reasons import NOT_AUTHENTICATED

# Here and below: rich is imported only where it prints for people, because it is slow to load.
if TYPE_CHECKING:
    from rich.console import Console

    from rtms.cli.layout import Column, Line, Span

_STYLES = {
    State.PENDING: "yellow",
    State.CONNECTED: "green",
    State.ENDED: "cyan",
    State.DONE: "bold green",
    State.FAILED: "bold red",
    State.SKIPPED: "dim",
}


def print_json(value: object) -> None:
    """Print a value as JSON; times as ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, default=as_json))


def print_meetings(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print meetings as a table, in the order given."""
    from rtms.cli.layout import Column

    _print_table(
        [
            Column("ID", is_fixed=True),
            Column("Received (UTC)", is_fixed=True),
            Column("State", is_fixed=True),
            Column("Meeting"),
            Column("Topic", is_text=True),
            Column("Host"),
            Column("At Recall"),
        ],
        [
            [
                (str(row["id"]), ""),
                (_moment(row["received_at"]), ""),
                (_state(row), _style(row)),
                (_called(row), ""),
                (row["topic"] or "", ""),
                (row["host_id"] or "", ""),
                (_at_recall(row), ""),
            ]
            for row in rows
        ],
    )
    refused = [str(row["id"]) for row in rows if row["stop_reason"] == NOT_AUTHENTICATED]
    if refused:
        which = f"meeting {refused[0]}" if len(refused) == 1 else f"meetings {', '.join(refused)}"
        print_loudly(f"Not recorded: {which}. {UNAUTHENTICATED.what} {UNAUTHENTICATED.todo}")


def print_events(rows: Sequence[Mapping[str, Any]], *, with_stream: bool = True) -> None:
    """Print webhook events as a table, in the order given.

    Args:
        rows: of `webhook_events`.
        with_stream: whether to show which stream each is about.
    """
    from rtms.cli.layout import Column

    columns = [
        Column("ID", is_fixed=True),
        Column("Received (UTC)", is_fixed=True),
        Column("Event", is_fixed=True),
        Column("Outcome", is_text=True),
        Column("Stream"),
    ]
    cells = [
        [
            (str(row["id"]), ""),
            (_moment(row["received_at"]), ""),
            (row["event"], ""),
            (row["outcome"], ""),
            ((row["rtms_stream_id"] or "") if with_stream else "", ""),
        ]
        for row in rows
    ]
    _print_table(columns, cells)


def print_requests(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print requests to Zoom as a table, in the order given."""
    from rtms.cli.layout import Column

    columns = [
        Column("ID", is_fixed=True),
        Column("Made (UTC)", is_fixed=True),
        Column("Request", is_fixed=True),
        Column("Meeting"),
        Column("State", is_fixed=True),
        Column("Tries", is_fixed=True),
        Column("Cause", is_text=True),
        Column("Detail", is_text=True),
    ]
    cells = [
        [
            (str(row["id"]), ""),
            (_moment(row["created_at"]), ""),
            (row["action"], ""),
            (row["meeting_id"], ""),
            (row["state"], ""),
            (str(row["attempts"]), ""),
            (_cause(row), ""),
            (_led_to(row), ""),
        ]
        for row in rows
    ]
    _print_table(columns, cells)


def print_users(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print users as a table, in the order given."""
    from rtms.cli.layout import Column

    columns = [
        Column("User"),
        Column("Meetings", is_fixed=True),
        Column("Last meeting (UTC)", is_fixed=True),
        Column("Installed", is_fixed=True),
        Column("Erasure", is_fixed=True),
        Column("Detail", is_text=True),
    ]
    cells = [
        [
            (row["user_id"], ""),
            (str(row["meetings"]), ""),
            (_moment(row["last_meeting_at"]) if row["last_meeting_at"] else "", ""),
            (_installed(row), ""),
            (row["erasure"] or "", ""),
            (row["last_error"] or "", ""),
        ]
        for row in rows
    ]
    _print_table(columns, cells)


def _installed(row: Mapping[str, Any]) -> str:
    if row["must_install_again"]:
        return "again"
    return _moment(row["installed_at"]) if row["installed_at"] else ""


def _cause(row: Mapping[str, Any]) -> str:
    cause = row["cause"].replace("_", " ")
    return f"{cause} of {row['replaces']}" if row["replaces"] else cause


def _led_to(row: Mapping[str, Any]) -> str:
    led_to = f"led to meeting {row['led_to']}" if row["led_to"] else ""
    return " ".join(filter(None, (led_to, row["last_error"])))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print the fields of a row, one per line, without those that have no value."""
    from rtms.cli.layout import labelled

    _print(
        lambda width: labelled(
            [(name, _value(value)) for name, value in fields.items() if value is not None], width
        )
    )


def print_loudly(text: str) -> None:
    """Print a paragraph in bold red."""
    from rtms.cli.layout import wrapped

    click.echo()
    _print(lambda width: [[(line, "bold red")] for line in wrapped(text, width or len(text))])


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text from Zoom and Recall as it is, without markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def screen_width(screen: Console) -> int | None:
    """Return the width of the screen in cells, or None for a file or a pipe without COLUMNS."""
    return screen.width if screen.is_terminal or os.environ.get("COLUMNS") else None


def show(screen: Console, lines: Iterable[Line]) -> None:
    """Print lines without wrapping them."""
    from rich.text import Text

    for line in lines:
        screen.print(Text.assemble(*line), soft_wrap=True)


def _print(make: Callable[[int | None], Iterable[Line]]) -> None:
    screen = console()
    show(screen, make(screen_width(screen)))


def _print_table(columns: Sequence[Column], rows: Sequence[Sequence[Span]]) -> None:
    from rtms.cli.layout import table

    _print(lambda width: table(columns, rows, width))


def _value(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3] if isinstance(value, datetime) else str(value)


def _called(row: Mapping[str, Any]) -> str:
    called: str = row["meeting_id"] or row["meeting_uuid"]
    return called if row["product"] == Product.MEETING else f"{row['product']} {called}"


def _at_recall(row: Mapping[str, Any]) -> str:
    newer = row["restarted_as"]
    mark = None if newer is None else f"restarted as {newer}"
    return " ".join(filter(None, (row["recall_id"], row["status"], row["sub_code"], mark)))


def _state(row: Mapping[str, Any]) -> str:
    if row["stop_reason"] == NOT_AUTHENTICATED:
        return f"{row['state']}: stop reason {NOT_AUTHENTICATED}"
    return f"{row['state']}: {row['reason']}" if row["reason"] else str(row["state"])


def _style(row: Mapping[str, Any]) -> str:
    if row["stop_reason"] == NOT_AUTHENTICATED:
        return _STYLES[State.FAILED]
    return _STYLES.get(row["state"], "")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
