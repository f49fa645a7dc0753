"""The commands that list Zoom's users and erase what is stored of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, ERASURES, ZOOM_USERS
from rtms import clock
from rtms.cli import tables
from rtms.cli.options import Commands, Id, as_json, fetch, limit
from rtms.cli.output import answer
from rtms.cli.pruning import confirm, counted
from rtms.services import get_services

users = Commands("users", help="List Zoom's users, and erase what is stored of one.")


@users.command("list")
@limit
@as_json
def users_list(limit: int, as_json: bool) -> None:
    """List the users who installed the app, those named in meetings, and those who were erased."""
    rows = _named(limit) + _erased(limit)
    rows = _with_installations(rows, limit)
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_users(rows)
    else:
        click.echo("No users yet. A user appears here with the first meeting.")


def _with_installations(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Add to the rows who has installed the app, and add those who have no meeting yet."""
    c = ZOOM_USERS.c
    columns = (c.zoom_user_id, c.installed_at, c.must_install_again, c.last_error)
    found = fetch(sa.select(*columns).order_by(c.installed_at.desc()).limit(limit))
    installed = {row["zoom_user_id"]: row for row in found}
    for row in rows:
        user = installed.pop(row["user_id"], None) if row["erasure"] is None else None
        row |= _installation(user)
    others = [
        {
            "user_id": user["zoom_user_id"],
            "meetings": 0,
            "last_meeting_at": None,
            "erasure": None,
            "requested_at": None,
            "completed_at": None,
            "counts": None,
            "last_error": None,
            **_installation(user),
        }
        for user in installed.values()
    ]
    return others + rows


def _installation(user: Mapping[str, Any] | None) -> dict[str, Any]:
    if user is None:
        return {"installed_at": None, "must_install_again": None}
    found = {name: user[name] for name in ("installed_at", "must_install_again")}
    return {**found, "last_error": user["last_error"]}


def _named(limit: int) -> list[dict[str, Any]]:
    c = CONNECTS.c
    ids = sa.union_all(
        sa.select(c.operator_id.label("user_id"), c.id, c.received_at),
        sa.select(c.host_id.label("user_id"), c.id, c.received_at),
    ).subquery()
    last = sa.func.max(ids.c.received_at).label("last_meeting_at")
    return [
        {
            **row,
            "erasure": None,
            "requested_at": None,
            "completed_at": None,
            "counts": None,
            "last_error": None,
        }
        for row in fetch(
            sa.select(ids.c.user_id, sa.func.count(sa.distinct(ids.c.id)).label("meetings"), last)
            .where(ids.c.user_id.is_not(None))
            .group_by(ids.c.user_id)
            .order_by(last.desc(), ids.c.user_id)
            .limit(limit)
        )
    ]


def _erased(limit: int) -> list[dict[str, Any]]:
    c = ERASURES.c
    rows = fetch(sa.select(ERASURES).order_by(c.id.desc()).limit(limit))
    return [
        {
            "user_id": row["zoom_user_id"],
            "meetings": row["counts"].get("meetings", 0),
            "last_meeting_at": None,
            "erasure": row["state"],
            "requested_at": row["requested_at"],
            "completed_at": row["completed_at"],
            "counts": row["counts"],
            "last_error": row["last_error"],
        }
        for row in rows
    ]


@users.command("erase", unanswered={"user_id": None, "erasure_id": None, "meetings": None})
@click.argument("user_id", metavar="USER_ID", type=Id())
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
def users_erase(user_id: str, yes: bool, as_json: bool) -> None:
    """Erase what is stored of a user: recordings at Recall and in the archive, and the user's name
    in meetings and events. A running server or worker does it. `users list` shows the outcome."""
    from rtms.intake.deauthorization import open_erasure
    from rtms.zoom_users import rows as zoom_users

    services = get_services()
    c = CONNECTS.c
    wanted = sa.select(sa.func.count().label("count")).where(
        sa.or_(c.operator_id == user_id, c.host_id == user_id)
    )
    meetings = fetch(wanted)[0]["count"]
    if not yes:
        confirm(
            f"Erase {user_id}, with {counted(meetings, 'meeting')} and all recordings of them at "
            "Recall and in the archive? This cannot be undone.",
            as_json,
        )

    def write(connection: Connection) -> int | None:
        zoom_users.delete(connection, user_id)
        return open_erasure(connection, user_id=user_id, now=clock.now())

    erasure_id = services.database.write(write)
    if as_json:
        answer({"user_id": user_id, "erasure_id": erasure_id, "meetings": meetings})
    else:
        click.echo(
            f"The erasure of {user_id} is queued, with {counted(meetings, 'meeting')}. "
            "`flask users list` shows when it is done."
        )
