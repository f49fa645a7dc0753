"""A meeting's life, moment by moment, in words: from its row and what was recorded about it. Pure.

What Zoom or Recall said is never part of a sentence of ours, but quoted beside it (`said`): it may
hold marks that turn the direction of text around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from models import Reason, Source, State
from rtms import clock
from rtms.attempts import RETRIED
from rtms.dashboard.words import duration
from rtms.events import is_fault, stop_in_words

Tone = Literal["plain", "good", "bad", "ahead"]
Row = Mapping[str, Any]

_LATE = timedelta(seconds=5)  # from Zoom's moment to the delivery, that is worth a word

_TRIES = {
    "refused": "Recall refused the stream",
    "rate_limited": "Recall had no room for the stream: too many connects at once",
    "not_done": "Recall could not connect the stream",
    "unknown": "A try whose outcome is not known",
}
_GIVEN_UP: dict[str, str] = {
    Reason.REFUSED: "Given up: Recall said no for good",
    Reason.WINDOW_EXPIRED: "Given up: the window had closed",
    Reason.RECALL_FAILED: "No recording will come of it",
    Reason.STOPPED_FIRST: "Not connected: the stream was over before",
    Reason.UNSUPPORTED: "Not to be connected: a Video SDK session",
    Reason.NOT_WANTED: "Not to be connected: RECORD_STREAMS excludes this stream",
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened to a meeting, or is to happen (`ahead`)."""

    at: datetime | None  # None: nobody wrote down when
    what: str
    detail: str = ""
    said: str = ""  # by Zoom, Recall or the server's log, to be quoted
    tone: Tone = "plain"
    event_id: int | None = None  # the webhook event that says so
    meeting_id: int | None = None  # another row that it is about


def timeline(
    row: Row,
    *,
    events: Sequence[Row] = (),
    attempts: Sequence[Row] = (),
    recordings: Sequence[Row] = (),
    took_the_place_of: int | None = None,
    successor_received_at: datetime | None = None,
    now: datetime,
) -> list[Moment]:
    """Tell a meeting's life, in the order in which things happened; what lies ahead is last.

    Args:
        row: of `meeting_direct_connects`.
        events: of `webhook_events`, those of this run of the stream.
        attempts: of `connect_attempts`: tries that did not connect.
        recordings: of `recordings`.
        took_the_place_of: the row that this one superseded.
        successor_received_at: when the row came that superseded this one.
        now: what is later lies ahead.
    """
    moments = [
        *_delivered(row, events, took_the_place_of),
        *(_tried(attempt) for attempt in attempts),
        *_connected(row),
        *_interrupted(row, events),
        *_stopped(row, events),
        *_superseded(row, successor_received_at),
        *_told(row, events),
        *(moment for recording in recordings for moment in _recorded(recording, now)),
        *_given_up(row, [each for each in attempts if each["outcome"] != RETRIED]),
    ]
    past = [moment for moment in moments if moment.tone != "ahead"]
    ahead = [moment for moment in moments if moment.tone == "ahead"] + list(_next(row, now))
    return [*_in_order(past, now), *_in_order(ahead, now)]


def _in_order(moments: list[Moment], now: datetime) -> list[Moment]:
    return sorted(moments, key=lambda moment: moment.at or now)


def _delivered(row: Row, events: Sequence[Row], took_the_place_of: int | None) -> Iterator[Moment]:
    start = _event(events, ".rtms_started", row["event_ts"])
    arrived_at = start["received_at"] if start else row["received_at"]
    late = arrived_at - clock.from_milliseconds(row["event_ts"])
    began = (
        f"Its stream had begun {duration(late)} before, by Zoom's clock." if late > _LATE else ""
    )
    wanted = "began" if row["state"] == State.SKIPPED else "is to be connected"
    yield Moment(
        at=arrived_at,
        what=f"Zoom's delivery arrived: a stream {wanted}",
        detail=began,
        event_id=start["id"] if start else None,
    )
    if took_the_place_of is not None:
        yield Moment(
            at=row["received_at"],
            what="Zoom's media server failed over: this takes the place of an older connection",
            meeting_id=took_the_place_of,
        )


def _tried(attempt: Row) -> Moment:
    if attempt["outcome"] == RETRIED:
        return Moment(at=attempt["at"], what="Somebody put it back, to be connected at once")
    then = attempt["next_try_at"]
    if then is None:
        detail = "It was the last try."
    else:
        detail = f"Next try {duration(max(then - attempt['at'], timedelta(0)))} later."
    return Moment(
        at=attempt["at"],
        what=_TRIES.get(attempt["outcome"], "A try that did not connect"),
        detail=detail,
        said=attempt["error"] or "",
        tone="bad",
    )


def _connected(row: Row) -> Iterator[Moment]:
    at = row["connected_at"]
    if at is None:
        return
    after = duration(max(at - row["received_at"], timedelta(0)))
    left = row["connect_by"] - at
    if left >= timedelta(0):
        window = f"The window had {duration(left)} left."
    else:
        window = f"The window had closed {duration(-left)} before."
    if row.get("taken_over_from"):
        window += " The process that had begun it did not finish it in time; another one did."
    yield Moment(
        at=at,
        what=f"Connected: Recall took the stream, {after} after the delivery",
        detail=window,
        tone="good",
    )


def _interrupted(row: Row, events: Sequence[Row]) -> Iterator[Moment]:
    what = "The stream was interrupted"
    detail = "Zoom waits for Recall to come back. Nothing to do."
    said = [each for each in events if _is(each, ".rtms_interrupted")]
    for each in said:
        at = clock.from_milliseconds(each["event_ts"]) if each["event_ts"] else each["received_at"]
        yield Moment(at=at, what=what, detail=detail, event_id=each["id"])
    if row["interrupted_at"] and not said:
        yield Moment(at=row["interrupted_at"], what=what, detail=detail)


def _stopped(row: Row, events: Sequence[Row]) -> Iterator[Moment]:
    if row["stopped_at"] is None:
        return
    reason = row["stop_reason"]
    number = "" if reason is None else f" (reason {reason})"
    stop = next((each for each in events if _is(each, ".rtms_stopped")), None)
    yield Moment(
        at=row["stopped_at"],
        what=f"The stream stopped: {stop_in_words(reason)}{number}",
        tone="bad" if is_fault(reason) else "plain",
        event_id=stop["id"] if stop else None,
    )


def _superseded(row: Row, at: datetime | None) -> Iterator[Moment]:
    if row["superseded_by"] is not None:
        yield Moment(
            at=at,
            what="Zoom's media server failed over: a newer connection took this one's place",
            meeting_id=row["superseded_by"],
        )


def _told(row: Row, events: Sequence[Row]) -> Iterator[Moment]:
    """What was said about the stream besides: copies, hints, what means nothing here."""
    stops = 0
    for each in events:
        if each["source"] == Source.RECALL:
            what = "Recall said that something changed"
        elif _is(each, ".rtms_started"):
            if each["event_ts"] == row["event_ts"]:
                continue
            what = "Zoom said again that the stream started"
        elif _is(each, ".rtms_stopped"):
            stops += 1
            if stops == 1 and row["stopped_at"]:
                continue
            what = "Zoom said that the stream stopped"
        elif _is(each, ".rtms_interrupted"):
            continue
        else:
            what = "Zoom sent another event about the stream"
        said = f"{each['event']}, {each['outcome']}"
        yield Moment(at=each["received_at"], what=what, said=said, event_id=each["id"])


def _recorded(recording: Row, now: datetime) -> Iterator[Moment]:
    status, over_at = recording["status"], recording["completed_at"]
    media = ", ".join(f"{kind} {stands}" for kind, stands in recording["media"].items())
    why = ", ".join(filter(None, (recording["sub_code"], media)))
    if status == "done":
        began = recording["started_at"]
        detail = f"It begins at {began:%H:%M:%S}, by Recall's clock." if began else ""
        yield Moment(
            at=over_at, what="The recording is ready", detail=detail, said=why, tone="good"
        )
    elif status == "failed":
        yield Moment(at=over_at, what="The recording failed", said=why, tone="bad")
    elif status == "deleted":
        yield Moment(at=over_at, what="The recording was deleted at Recall", said=why, tone="bad")
    else:
        yield Moment(at=over_at, what="A recording is under way", said=f"{status} {why}".strip())
    if recording["archived_at"]:
        what = "The recording was stored, where ARCHIVE_URL says"
        yield Moment(at=recording["archived_at"], what=what, tone="good")
    if recording["archive_error"]:
        it = "What came of it later" if recording["archived_at"] else "The recording"
        what = f"{it} is not stored yet"
        if recording["archive_due_at"] is None:
            what = f"{it} was not stored, and is not tried again"
        yield Moment(at=None, what=what, said=recording["archive_error"], tone="bad")
    if recording["expires_at"] and status != "deleted":
        if recording["expires_at"] <= now:
            what = "Recall's time for keeping the recording ended: its media are deleted"
            yield Moment(at=recording["expires_at"], what=what)
        else:
            what = "Recall deletes the recording's media"
            yield Moment(at=recording["expires_at"], what=what, tone="ahead")


def _given_up(row: Row, attempts: Sequence[Row]) -> Iterator[Moment]:
    reason = row["reason"]
    if reason is None:
        return
    at: datetime | None = None
    match reason:
        case Reason.UNSUPPORTED | Reason.NOT_WANTED:
            at = row["received_at"]
        case Reason.STOPPED_FIRST:
            at = max(filter(None, (row["stopped_at"], row["received_at"])))
        case Reason.WINDOW_EXPIRED:
            at = max([row["connect_by"], *(attempt["at"] for attempt in attempts)])
        case Reason.REFUSED if attempts:
            at = max(attempt["at"] for attempt in attempts)
    skipped = row["state"] == State.SKIPPED
    yield Moment(
        at=at,
        what=_GIVEN_UP.get(reason, "Given up"),
        said="" if attempts else row["last_error"] or "",
        tone="plain" if skipped else "bad",
    )


def _next(row: Row, now: datetime) -> Iterator[Moment]:
    if row["state"] == State.PENDING:
        if row["leased_until"] and row["leased_until"] > now:
            yield Moment(at=None, what="A try is under way", tone="ahead")
        elif row["due_at"]:
            yield Moment(at=row["due_at"], what="The next try is due", tone="ahead")
        if row["connect_by"] > now:
            yield Moment(at=row["connect_by"], what="The window closes", tone="ahead")
    elif row["due_at"]:
        yield Moment(at=row["due_at"], what="Recall is to be asked how it stands", tone="ahead")


def _event(events: Sequence[Row], verb: str, event_ts: int) -> Row | None:
    return next((e for e in events if _is(e, verb) and e["event_ts"] == event_ts), None)


def _is(event: Row, verb: str) -> bool:
    name: str = event["event"]
    return event["source"] == Source.ZOOM and name.endswith(verb)
