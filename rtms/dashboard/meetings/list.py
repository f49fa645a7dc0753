"""The list of meetings: newest first, searched, filtered, page by page."""

from __future__ import annotations

from flask import Response, make_response, render_template, request

from models import CONNECTS
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.meetings import search
from rtms.dashboard.meetings.search import InvalidSearch, MeetingSearch
from rtms.restart_chain import read_restart_of
from rtms.services import get_services

_COLUMNS = tuple(
    CONNECTS.c[name]
    for name in (
        "id", "received_at", "product", "meeting_id", "meeting_uuid", "topic", "host_id", "state",
        "reason", "connected_at", "stopped_at", "stop_reason", "status", "sub_code", "last_error",
        "restarted_as",
    )
)  # fmt: skip


@blueprint.get("/meetings")
def meetings() -> Response:
    """Show the list."""
    try:
        query, trouble = search.read(request.args), None
    except InvalidSearch as error:
        query, trouble = MeetingSearch(), str(error)
    page, restart_of = None, {}
    if trouble is None:
        with get_services().database.read() as connection:
            page = search.find(connection, query, _COLUMNS)
            restart_of = read_restart_of(connection, [row.id for row in page.rows])
    body = render_template(
        "meetings.html",
        query=query,
        page=page,
        trouble=trouble,
        choices=search.CHOICES,
        restart_of=restart_of,
    )
    return page_or_json(body, trouble, 400) if trouble else make_response(body)
