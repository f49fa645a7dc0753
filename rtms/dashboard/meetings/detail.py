"""The page of a meeting: its state, what to do, its timeline, and the buttons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, make_response, render_template, request, url_for
from sqlalchemy.engine import Connection

from models import ATTEMPTS, CONNECTS, EVENTS, RECORDINGS
from rtms import clock
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.flash import redirect_with
from rtms.dashboard.meetings import media, recall_lookup, zoom_requests
from rtms.dashboard.meetings.advice import advise, for_pages
from rtms.dashboard.meetings.other_moments import REQUEST_ANSWERED
from rtms.dashboard.meetings.recall_lookup import MediumUnavailable
from rtms.dashboard.meetings.runs import run_of
from rtms.dashboard.meetings.timeline import timeline
from rtms.dashboard.paging import ROW_ID
from rtms.intake.events_without_stream import about_meeting
from rtms.jobs.connect import manual_retry
from rtms.jobs.follow import job as refreshing
from rtms.jobs.names import JobName
from rtms.recall.recording_config import keeps_nothing
from rtms.recordings.utterances import turns
from rtms.restart_chain import read_chain
from rtms.rows import as_dicts
from rtms.services import get_services
from rtms.states import is_over
from rtms.stream_gap import restarts, sentences
from rtms.zoom.stop_reasons import stop_reason_text

_MOST = 200  # events, tries and recordings of one meeting that a page shows
_SIBLINGS = 20
# The bodies that a timeline shows. The others may be many and long.
_PAYLOAD = sa.case((EVENTS.c.event == REQUEST_ANSWERED, EVENTS.c.payload)).label("payload")


@blueprint.get(f"/meetings/<{ROW_ID}:id>")
def meeting(id: int) -> str:
    """Show a meeting. This reads only the database."""
    with get_services().database.read() as connection:
        row = _row(connection, id)
        stream = CONNECTS.c.rtms_stream_id == row["rtms_stream_id"]
        siblings = _all(
            connection,
            sa.select(
                CONNECTS.c.id, CONNECTS.c.event_ts, CONNECTS.c.received_at, CONNECTS.c.superseded_by
            ).where(stream),
            CONNECTS.c.event_ts,
        )
        said = _all(
            connection,
            sa.select(*(column for column in EVENTS.c if column.name != "payload"), _PAYLOAD).where(
                EVENTS.c.rtms_stream_id == row["rtms_stream_id"]
            ),
            EVENTS.c.id,
        )
        about = about_meeting(connection, row)
        attempts = _of(connection, ATTEMPTS, id)
        recordings = _of(connection, RECORDINGS, id)
        requests = zoom_requests.requests_about(connection, id)
        restarted = restarts(read_chain(connection, id), id)
    now = clock.now()
    nothing_kept = keeps_nothing(get_services().config.recording_config)
    events = run_of(row, siblings, said)
    over = is_over(row, now)
    moments = timeline(
        row,
        events=[*events, *about],
        attempts=attempts,
        recordings=recordings,
        more=zoom_requests.request_moments(row, requests),
        replaces=next((one["id"] for one in siblings if one["superseded_by"] == id), None),
        successor_received_at=next(
            (one["received_at"] for one in siblings if one["id"] == row["superseded_by"]), None
        ),
        restarts=restarted,
        now=now,
    )
    return render_template(
        "meeting.html",
        row=row,
        advice=advise(
            row,
            now,
            plays=any(media.played(one) and not media.gone(one, now) for one in recordings),
            restarts=restarted,
        ),
        restarts=sentences(restarted),
        over=over,
        can_record_the_rest=zoom_requests.can_record_the_rest(
            row, can_start=get_services().zoom_api is not None, now=now
        ),
        events=events,
        error=for_pages(row["last_error"] or ""),
        moments=moments,
        is_cut=len(said) == _MOST,
        siblings=[one for one in siblings if one["id"] != id][:_SIBLINGS],
        recordings=[
            {
                **recording,
                "gone": media.gone(recording, now),
                "played": media.played(recording),
                "unplayed": media.unplayed(recording, nothing_kept=nothing_kept),
                "downloads": media.downloads(recording),
            }
            for recording in recordings
        ],
        stopped_because=stop_reason_text(row["stop_reason"]) if row["stopped_at"] else None,
    )


@blueprint.get(f"/meetings/<{ROW_ID}:id>/transcript")
def meeting_transcript(id: int) -> Response:
    """Show a meeting's transcript. `playback.js` also loads it next to the player."""
    wanted = request.args.get("recording", "")
    with get_services().database.read() as connection:
        row = _row(connection, id)
        recordings = [
            one for one in _of(connection, RECORDINGS, id) if wanted in ("", str(one["id"]))
        ]
    recording = next(
        (one for one in recordings if "transcript" in one["media"]), next(iter(recordings), None)
    )
    said, trouble, status = [], None, 200
    if recording is None:
        status, trouble = 404, f"Meeting {id} has no such recording."
    else:
        try:
            said = turns(recall_lookup.transcript(get_services(), recording))
        except MediumUnavailable as error:
            status, trouble = error.status, str(error)
    page = render_template(
        "transcript.html",
        row=row,
        recording=recording,
        played=media.played(recording) if recording else None,
        turns=said,
        trouble=trouble,
    )
    return page_or_json(page, trouble, status) if trouble else make_response(page)


@blueprint.post(f"/meetings/<{ROW_ID}:id>/retry")
def meeting_retry(id: int) -> Response:
    """Queue a failed meeting to be connected now."""
    services = get_services()
    window = timedelta(seconds=services.config.connect_window_seconds)
    with services.database.read() as connection:
        over = is_over(_row(connection, id), clock.now())
    retried = manual_retry.retry(services.database, id, window=window)
    if retried.done and services.dispatcher:
        services.dispatcher.wake(JobName.CONNECT)
    if not retried.done:
        return redirect_with(_url(id), retried.detail, "bad")
    return redirect_with(_url(id), retried.detail, "warn" if over else "good")


@blueprint.post(f"/meetings/<{ROW_ID}:id>/refresh")
def meeting_refresh(id: int) -> Response:
    """Ask Recall about a meeting now, and record its answer."""
    services = get_services()
    with services.database.read() as connection:
        row = _row(connection, id)
    if row["recall_id"] is None:
        text = f"Meeting {id} was never connected, so Recall does not know it."
        return redirect_with(_url(id), text, "bad")
    with recall_lookup.open_client(services) as recall:
        trouble = refreshing.refresh(
            services.database, recall, services.config, id, row["recall_id"]
        )
    if trouble:
        return redirect_with(_url(id), f"Meeting {id} was not refreshed. {trouble}", "bad")
    with services.database.read() as connection:
        refreshed = _row(connection, id)
    has_changed = any(refreshed[name] != row[name] for name in ("state", "status", "sub_code"))
    what = "Its answer is below." if has_changed else "Nothing has changed."
    return redirect_with(_url(id), f"Recall was asked. {what}", "good")


def _url(id: int) -> str:
    return url_for("dashboard.meeting", id=id)


def _row(connection: Connection, id: int) -> dict[str, Any]:
    row = connection.execute(sa.select(CONNECTS).where(CONNECTS.c.id == id)).one_or_none()
    if row is None:
        abort(404, f"There is no meeting {id}. See the list of meetings.")
    return dict(row._mapping)


def _of(connection: Connection, table: sa.Table, id: int) -> list[dict[str, Any]]:
    wanted = sa.select(table).where(table.c.meeting_direct_connect_id == id)
    return _all(connection, wanted, table.c.id)


def _all(
    connection: Connection, wanted: sa.Select[Any], order: sa.ColumnElement[Any]
) -> list[dict[str, Any]]:
    """Return the last `_MOST` rows, in order."""
    last = as_dicts(connection.execute(wanted.order_by(order.desc()).limit(_MOST)))
    return last[::-1]
