"""The requests to Zoom on a meeting's page: what was asked, and the button that asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa
from flask import Response, url_for
from sqlalchemy.engine import Connection

from models import STREAM_REQUESTS, RequestCause, RequestState, State
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.flash import redirect_with
from rtms.dashboard.meetings.moments import Moment, Row
from rtms.dashboard.paging import ROW_ID
from rtms.jobs.names import JobName
from rtms.jobs.restart import by_hand
from rtms.rows import as_dicts
from rtms.services import get_services
from rtms.states import LONGEST_MEETING
from rtms.zoom.stop_reasons import is_fault

_MOST = 50
_CAUSES = {
    RequestCause.WINDOW_EXPIRED: "The stream was not connected in time",
    RequestCause.STREAM_FAULT: "The stream broke",
    RequestCause.NEVER_CAME: "The meeting had no stream",
    RequestCause.OUTAGE: "The stream was lost while this server was down",
    RequestCause.BY_HAND: "An operator asked for it",
}
_OUTCOMES = {
    RequestState.ACCEPTED: "Zoom accepted the request for a new stream",
    RequestState.FULFILLED: "Zoom accepted the request for a new stream",
    RequestState.REFUSED: "Zoom refused to start a new stream",
    RequestState.WITHDRAWN: "Zoom is no longer asked for a new stream",
    RequestState.GIVEN_UP: "Zoom is no longer asked for a new stream",
}


def requests_about(connection: Connection, id: int) -> list[Row]:
    """Return the requests that a meeting caused or that led to it, oldest first."""
    c = STREAM_REQUESTS.c
    wanted = sa.select(STREAM_REQUESTS).where(sa.or_(c.replaces == id, c.led_to == id))
    newest = as_dicts(connection.execute(wanted.order_by(c.id.desc()).limit(_MOST)))
    return list(reversed(newest))


def request_moments(row: Row, requests: Sequence[Row]) -> Iterator[Moment]:
    """Return the moments of a timeline that are about requests to Zoom.

    Args:
        row: of `meeting_direct_connects`.
        requests: of `stream_requests`, about this row.
    """
    for request in requests:
        cause = f"{_CAUSES[request['cause']]}."
        if request["replaces"] != row["id"]:
            yield Moment(
                at=request["created_at"], what="This server asks Zoom for a stream", detail=cause
            )
            continue
        yield Moment(
            at=request["created_at"], what="This server asks Zoom for a new stream", detail=cause
        )
        if request["state"] == RequestState.WAITING:
            yield Moment(
                at=request["due_at"],
                what="Zoom is asked for a new stream",
                said=request["last_error"] or "",
                tone="ahead",
            )
        else:
            is_bad = request["state"] in (RequestState.REFUSED, RequestState.GIVEN_UP)
            yield Moment(
                at=request["sent_at"] or request["created_at"],
                what=_OUTCOMES[request["state"]],
                said=request["last_error"] or "",
                tone="bad" if is_bad else "plain",
            )


def can_record_the_rest(row: Row, *, can_start: bool, now: datetime) -> bool:
    """Return whether a new stream could record the rest of a meeting.

    Args:
        row: of `meeting_direct_connects`.
        can_start: whether this server has the credentials that start streams.
    """
    was_lost = row["state"] == State.FAILED or (
        row["stopped_at"] is not None and is_fault(row["stop_reason"])
    )
    return (
        can_start
        and was_lost
        and row["meeting_id"] is not None
        and row["restarted_as"] is None
        and row["received_at"] > now - LONGEST_MEETING
    )


@blueprint.post(f"/meetings/<{ROW_ID}:id>/restart")
def meeting_restart(id: int) -> Response:
    """Ask Zoom for a new stream, which records the rest of a meeting."""
    services = get_services()
    url = url_for("dashboard.meeting", id=id)
    if services.zoom_api is None:
        text = "Zoom cannot be asked: the ZOOM_S2S settings are not set. See docs/RESTARTS.md."
        return redirect_with(url, text, "bad")
    wanted = by_hand.wanted_restart(services.database, id)
    if isinstance(wanted, by_hand.Requested):
        return redirect_with(url, wanted.detail, "bad")
    by_hand.open_request(services.database, wanted)
    if services.dispatcher:
        services.dispatcher.wake(JobName.RESTART)
    return redirect_with(url, "Zoom is asked for a new stream. Its answer appears here.", "good")
