"""The commands that ask Zoom for streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from models import STREAM_REQUESTS, RequestAction
from rtms.cli import tables
from rtms.cli.options import Commands, Id, as_json, fetch, limit
from rtms.cli.output import answer
from rtms.cli.waiting import Waiting
from rtms.services import Services, get_services
from rtms.text import typed_number

if TYPE_CHECKING:
    from rtms.jobs.restart.by_hand import Requested, Wanted

UNANSWERED = {"request_id": None, "detail": None}
streams = Commands("streams", help="Ask Zoom to start or stop a meeting's stream.")
_number = click.argument("number", type=Id())
_user = click.option(
    "--user",
    type=Id(),
    help="The user whose stream it is (an operator_id). Default: the host.",
)


@streams.command("start", unanswered=UNANSWERED)
@_number
@_user
@as_json
def streams_start(number: str, user: str | None, as_json: bool) -> None:
    """Ask Zoom to start the stream of a running meeting, by its number."""
    _change(RequestAction.START, number, user, as_json)


@streams.command("stop", unanswered=UNANSWERED)
@_number
@_user
@as_json
def streams_stop(number: str, user: str | None, as_json: bool) -> None:
    """Ask Zoom to stop the stream of a meeting, by its number."""
    _change(RequestAction.STOP, number, user, as_json)


@streams.command("list")
@limit
@as_json
def streams_list(limit: int, as_json: bool) -> None:
    """List requests to Zoom, newest first."""
    rows = fetch(sa.select(STREAM_REQUESTS).order_by(STREAM_REQUESTS.c.id.desc()).limit(limit))
    if as_json:
        tables.print_json(rows)
    elif rows:
        tables.print_requests(rows)
    else:
        click.echo("Zoom has not been asked for a stream yet.")


def check_credentials(services: Services) -> None:
    """Check that streams can be started.

    Raises:
        click.ClickException: the credentials for Zoom's API are not set.
    """
    if services.zoom_api is None:
        raise click.ClickException(
            "ZOOM_S2S_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID and ZOOM_S2S_CLIENT_SECRET are not set: Zoom "
            "starts streams for a Server-to-Server OAuth app. docs/RESTARTS.md says how to "
            "create it."
        )


def send(services: Services, wanted: Wanted | Requested) -> Requested:
    """Ask Zoom, unless it cannot be asked."""
    from rtms.jobs.restart import by_hand

    if isinstance(wanted, by_hand.Requested):
        return wanted
    with Waiting("Asking Zoom"):
        return by_hand.send_now(services.database, services.restart_job, wanted)


def report(requested: Requested, as_json: bool) -> None:
    """Print what came of a request.

    Raises:
        click.ClickException: Zoom did not accept it.
    """
    if not requested.done:
        raise click.ClickException(requested.detail)
    if as_json:
        answer({"request_id": requested.request_id, "detail": requested.detail})
    else:
        click.echo(requested.detail)


def _change(action: RequestAction, number: str, user: str | None, as_json: bool) -> None:
    from rtms.jobs.restart import by_hand

    services = get_services()
    check_credentials(services)
    meeting_id = typed_number(number)
    if not meeting_id:
        raise click.UsageError(f"{number!r} is not a meeting's number, such as 85551234567.")
    wanted = by_hand.Wanted(action=action, meeting_id=meeting_id, operator_id=user)
    report(send(services, wanted), as_json)
