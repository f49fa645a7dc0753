"""The timeline of a meeting, from its row and from what was recorded about it. Pure.

Text from Zoom or Recall is never part of a sentence, but quoted next to it (`said`), because it may
contain marks that change the direction of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from models import Reason, State
from rtms.dashboard.meetings.answer_text import plain_text
from rtms.dashboard.meetings.archive_moments import recorded
from rtms.dashboard.meetings.moments import (
    Moment,
    Row,
    Tone,
    happened_at,
    is_zooms,
    merged,
    zoom_moment,
)
from rtms.dashboard.meetings.other_moments import other_moments
from rtms.dashboard.template_filters.amounts import duration
from rtms.jobs.connect.attempts import RETRIED
from rtms.states import LONGEST_MEETING, in_short
from rtms.stream_gap import NOT_RESTARTED, Restarts
from rtms.zoom.stop_reasons import is_fault, stop_reason_text

_LATE = timedelta(seconds=5)  # from a start to its delivery, from which on this is mentioned
_NARROW = timedelta(seconds=15)  # left of the window at the connect, below which it is mentioned

_TRIES = {
    "refused": "Recall refused the stream",
    "rate_limited": "Recall's rate limit was reached: too many connects at once",
    "not_done": "Recall could not connect the stream",
    "unknown": "A try with an unknown outcome",
}


def timeline(
    row: Row,
    *,
    events: Sequence[Row] = (),
    attempts: Sequence[Row] = (),
    recordings: Sequence[Row] = (),
    more: Iterable[Moment] = (),
    replaces: int | None = None,
    successor_received_at: datetime | None = None,
    restarts: Restarts = NOT_RESTARTED,
    now: datetime,
) -> list[Moment]:
    """Return the moments of a meeting in order. What is still to come is last.

    Args:
        row: of `meeting_direct_connects`.
        events: of `webhook_events`, for this run of the stream.
        attempts: of `connect_attempts`: tries that did not connect.
        recordings: of `recordings`.
        more: other moments.
        replaces: the row that this one superseded.
        successor_received_at: when the row that superseded this one was received.
        restarts: which rows this one goes on from and goes on in.
        now: what is later is still to come.
    """
    moments = [
        *_delivered(row, events, replaces),
        *(_tried(attempt) for attempt in attempts),
        *_connected(row),
        *_interrupted(row, events),
        *_stopped(row, events),
        *_superseded(row, successor_received_at),
        *_restarted(row, restarts),
        *other_moments(row, events, recordings),
        *(moment for recording in recordings for moment in recorded(recording, now)),
        *more,
        *_given_up(row, [each for each in attempts if each["outcome"] != RETRIED]),
    ]
    past = [moment for moment in moments if moment.tone != "ahead"]
    ahead = [moment for moment in moments if moment.tone == "ahead"] + list(_next(row, now))
    return [*merged(_in_order(past, now)), *_in_order(ahead, now)]


def _in_order(moments: list[Moment], now: datetime) -> list[Moment]:
    return sorted(moments, key=lambda moment: moment.at or now)


def _delivered(row: Row, events: Sequence[Row], replaces: int | None) -> Iterator[Moment]:
    start = _event(events, ".rtms_started", row["event_ts"])
    late = _late(start)
    yield Moment(
        at=start["received_at"] if start else row["received_at"],
        what="Zoom reported that the stream began",
        detail=f"Zoom sent this {duration(late)} after it began." if late else "",
        event_id=start["id"] if start else None,
    )
    if replaces is not None:
        yield Moment(
            at=row["received_at"],
            what="Zoom's media server failed over: this connection replaces an older one",
            meeting_id=replaces,
        )


def _late(start: Row | None) -> timedelta | None:
    """Return how late Zoom sent a start, by its own clock; None if in time or not known."""
    if start is None or start["sent_at"] is None:
        return None
    began_at = zoom_moment(start["event_ts"])
    late = start["sent_at"] - began_at if began_at else timedelta(0)
    return late if _LATE < late < LONGEST_MEETING else None


def _tried(attempt: Row) -> Moment:
    if attempt["outcome"] == RETRIED:
        return Moment(at=attempt["at"], what="An operator retried it")
    then = attempt["next_try_at"]
    if then is None:
        detail = "It was the last try."
    else:
        detail = f"Next try {duration(max(then - attempt['at'], timedelta(0)))} later."
    return Moment(
        at=attempt["at"],
        what=_TRIES.get(attempt["outcome"], "A try that did not connect"),
        detail=detail,
        said=plain_text(attempt["error"] or ""),
        tone="bad",
    )


def _connected(row: Row) -> Iterator[Moment]:
    at = row["connected_at"]
    if at is None:
        return
    after = duration(max(at - row["received_at"], timedelta(0)))
    left = row["connect_by"] - at
    notes = []
    if left < timedelta(0):
        notes.append(f"Zoom's window had closed {duration(-left)} before.")
    elif left < _NARROW:
        notes.append(f"Zoom would have waited {duration(left)} more.")
    if row.get("taken_over_from"):
        notes.append("The process that began it did not finish in time, and another one did.")
    yield Moment(
        at=at,
        what=f"Connected: Recall took the stream, {after} later",
        detail=" ".join(notes),
        tone="good",
    )


def _interrupted(row: Row, events: Sequence[Row]) -> Iterator[Moment]:
    what = "The stream was interrupted"
    detail = "Zoom waits for Recall to come back. Nothing to do."
    said = [each for each in events if is_zooms(each, ".rtms_interrupted")]
    for each in said:
        yield Moment(at=happened_at(each), what=what, detail=detail, event_id=each["id"])
    if row["interrupted_at"] and not said:
        yield Moment(at=row["interrupted_at"], what=what, detail=detail)


def _stopped(row: Row, events: Sequence[Row]) -> Iterator[Moment]:
    if row["stopped_at"] is None:
        return
    reason = row["stop_reason"]
    number = "" if reason is None else f" (reason {reason})"
    stop = next((each for each in events if is_zooms(each, ".rtms_stopped")), None)
    yield Moment(
        at=happened_at(stop) if stop else row["stopped_at"],
        what=f"The stream stopped: {stop_reason_text(reason)}{number}",
        tone="bad" if is_fault(reason) else "plain",
        event_id=stop["id"] if stop else None,
    )


def _superseded(row: Row, at: datetime | None) -> Iterator[Moment]:
    if row["superseded_by"] is not None:
        yield Moment(
            at=at,
            what="Zoom's media server failed over: a newer connection replaced this one",
            meeting_id=row["superseded_by"],
        )


def _restarted(row: Row, restarts: Restarts) -> Iterator[Moment]:
    if restarts.restart_of is not None:
        yield Moment(
            at=row["received_at"],
            what="This stream was started in place of a lost one",
            detail=_gap(restarts.gap_seconds),
            meeting_id=restarts.restart_of,
        )
    newer = restarts.continued_in
    if newer is None:
        return
    at = newer.connected_at or zoom_moment(newer.event_ts)
    what: str
    tone: Tone
    if newer.has_failed:
        what, tone = "The stream was started again, which failed too", "bad"
    elif newer.connected_at:
        what, tone = "The recording goes on in another stream", "good"
    else:
        what, tone = "The stream was started again, and is being connected", "plain"
    yield Moment(at=at, what=what, detail=_gap(restarts.gap_after), tone=tone, meeting_id=newer.id)


def _gap(seconds: float | None) -> str:
    return "" if seconds is None else f"The gap is {duration(seconds)} long."


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
        what=f"{'Not connected' if skipped else 'Given up'}: "
        f"{in_short(row['reason'], row['product'])}",
        said="" if attempts else plain_text(row["last_error"] or ""),
        tone="plain" if skipped else "bad",
    )


def _next(row: Row, now: datetime) -> Iterator[Moment]:
    if row["state"] == State.PENDING:
        if row["leased_until"] and row["leased_until"] > now:
            yield Moment(at=None, what="A try is in progress", tone="ahead")
        elif row["due_at"]:
            yield Moment(at=row["due_at"], what="The next try is due", tone="ahead")
        if row["connect_by"] > now:
            yield Moment(at=row["connect_by"], what="The window closes", tone="ahead")
    elif row["due_at"]:
        yield Moment(at=row["due_at"], what="Recall will be asked for the status", tone="ahead")


def _event(events: Sequence[Row], verb: str, event_ts: int) -> Row | None:
    return next((e for e in events if is_zooms(e, verb) and e["event_ts"] == event_ts), None)
