"""Routes for a recording's media. Each response redirects to a fresh link, which is in the Location
header and nowhere else, or says why there is none."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, jsonify, render_template, request

from models import RECORDINGS
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.meetings import recall_lookup
from rtms.dashboard.meetings.media import MEDIA
from rtms.dashboard.meetings.recall_lookup import MediumUnavailable
from rtms.dashboard.paging import ROW_ID
from rtms.recordings import transcripts
from rtms.services import get_services

_TYPES = {"vtt": "text/vtt", "srt": "application/x-subrip", "txt": "text/plain"}


@blueprint.get(f"/recordings/<{ROW_ID}:id>/<kind>")
def recording_medium(id: int, kind: str) -> Response:
    """Redirect to a medium."""
    recording = _recording(id)
    try:
        found = recall_lookup.link(get_services(), recording, kind, _link_name())
    except MediumUnavailable as error:
        return _page(recording, kind, error)
    return Response(
        status=302, headers={"Location": found, "Cache-Control": "no-store"}, mimetype="text/plain"
    )


@blueprint.get(f"/recordings/<{ROW_ID}:id>/<kind>/why")
def recording_why(id: int, kind: str) -> Response:
    """Tell the player's script whether a medium is available. The script cannot follow the redirect
    itself, which leads to another origin."""
    recording = _recording(id)
    try:
        recall_lookup.link(get_services(), recording, kind)
    except MediumUnavailable as error:
        return jsonify(to_be_had=False, words=str(error))
    return jsonify(
        to_be_had=True,
        words="Recall has the recording, but this browser could not play it. Reload the page. If "
        "that does not help, download it.",
    )


@blueprint.get(f"/recordings/<{ROW_ID}:id>/transcript.<any(vtt, srt, txt):format>")
def recording_captions(id: int, format: transcripts.Format) -> Response:
    """Serve a transcript as captions or as text."""
    recording = _recording(id)
    try:
        said = recall_lookup.captions(get_services(), recording, format)
    except MediumUnavailable as error:
        return _page(recording, "transcript", error)
    answer = Response(said, mimetype=_TYPES[format])
    name = f"meeting-{recording['meeting_direct_connect_id']}-transcript.{format}"
    if "inline" not in request.args:
        answer.headers["Content-Disposition"] = f"attachment; filename={name}"
    return answer


def _page(recording: dict[str, Any], kind: str, error: MediumUnavailable) -> Response:
    page = render_template(
        "medium.html", recording=recording, medium=MEDIA.get(kind, kind), words=str(error)
    )
    return page_or_json(page, str(error), error.status)


def _recording(id: int) -> dict[str, Any]:
    with get_services().database.read() as connection:
        row = connection.execute(sa.select(RECORDINGS).where(RECORDINGS.c.id == id)).one_or_none()
    if row is None:
        abort(404, f"There is no recording {id}. See the list of meetings.")
    return dict(row._mapping)


def _link_name() -> str:
    name = request.args.get("link", recall_lookup.USUAL_LINK)
    return name if re.fullmatch(r"[a-z_]{1,64}", name) else recall_lookup.USUAL_LINK
