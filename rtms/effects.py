"""What one event does to the table: Zoom's rules, as statements of one transaction."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import (
    CONNECTS,
    EVENTS,
    LIVE,
    LIVE_STATES,
    Reason,
    State,
)
from rtms import clock
from rtms.events import (
    NOT_AUTHENTICATED,
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    Interrupted,
    Meaning,
    Started,
    Stopped,
    is_fault,
    parse,
    stop_in_words,
)
from rtms.followup import first_look
from rtms.rules import Known, Verdict, judge


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a delivery."""

    outcome: str  # accepted, duplicate, ignored, unknown or rejected
    detail: str  # why, in words
    level: str = "info"  # how loud to log it
    stream: str | None = None
    row_id: int | None = None  # the connection it is about
    is_due: bool = False  # that connection is to be made now

    @property
    def recorded(self) -> str:
        """The outcome as the raw record keeps it."""
        return f"{self.outcome}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """When an event came, and how to find it at Zoom."""

    received_at: datetime
    tracking_id: str | None


def apply(connection: Connection, config: Config, meaning: Meaning, arrival: Arrival) -> Taken:
    """Do what an event means. Let its stream's deliveries take turns (`names_of`)."""
    match meaning:
        case Started():
            return _start(connection, config, meaning, arrival)
        case Stopped():
            return _stop(connection, config, meaning, arrival)
        case Interrupted():
            return _interrupt(connection, meaning)
        case ConcurrencyNearLimit():
            return Taken(
                outcome="accepted",
                detail=f"{meaning.number} of the {meaning.limit} streams that Zoom allows this "
                f"account at once are in use ({meaning.percentage} %)",
                level="warning",
            )
        case ConcurrencyLimited():
            return Taken(
                outcome="accepted",
                detail=f"Zoom started no stream for meeting {meaning.meeting_uuid}: the "
                f"account has as many as Zoom allows at once ({meaning.number}). Ask Zoom for "
                "more, or stop streams that nobody needs",
                level="error",
            )
        case _:
            return Taken(outcome="unknown", detail="this event means nothing to the server")


def names_of(meaning: Meaning, config: Config) -> list[str]:
    """What an event must be decided alone about: a start must see the stop that overtook it, and
    a stop the start. (Constraints alone cannot promise that on PostgreSQL.)"""
    names = []
    if isinstance(meaning, Started | Stopped | Interrupted):
        names.append(f"stream:{meaning.rtms_stream_id}")
    if isinstance(meaning, Started) and config.record_streams == "first":
        names.append(f"meeting:{meaning.meeting_uuid}")
    return names


def taken_for(start: Started, verdict: Verdict, row_id: int | None) -> Taken:
    """What a start came to that made a row."""
    return Taken(
        outcome="ignored" if verdict.skip else "accepted",
        detail=verdict.detail,
        level="warning" if verdict.skip == Reason.UNSUPPORTED else "info",
        stream=start.rtms_stream_id,
        row_id=row_id,
        is_due=verdict.skip is None,
    )


def _start(connection: Connection, config: Config, start: Started, arrival: Arrival) -> Taken:
    later = _starts_after(start.rtms_stream_id, start.event_ts)
    verdict = judge(
        start,
        _known(connection, start.rtms_stream_id),
        last_stop_ts=_last_stop_ts(connection, start),
        meeting_is_live=_meeting_is_live(connection, config, start),
        record_streams=config.record_streams,
        later_start_known=bool(connection.scalar(sa.select(later.exists()))),
    )
    if not verdict.new_row:
        return Taken(
            outcome="duplicate", detail=verdict.detail, level="debug", stream=start.rtms_stream_id
        )
    if verdict.supersedes:
        connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == verdict.supersedes)
            .values(
                state=State.ENDED,
                # What it recorded until now is followed like any other recording.
                due_at=sa.case(
                    (CONNECTS.c.recall_id.is_not(None), first_look(arrival.received_at))
                ),
            )
        )
    row_id = connection.scalar(
        CONNECTS.insert()
        .values(**new_row(config, start, verdict, arrival))
        .returning(CONNECTS.c.id)
    )
    if verdict.supersedes:
        connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == verdict.supersedes)
            .values(superseded_by=row_id)
        )
    if verdict.skip == Reason.STOPPED_FIRST:
        _copy_stop(connection, row_id, start)
    return taken_for(start, verdict, row_id)


def _stop(connection: Connection, config: Config, stop: Stopped, arrival: Arrival) -> Taken:
    row_id = _end(connection, stop, arrival.received_at)
    detail = f"the stream stopped: {stop_in_words(stop.stop_reason)}"
    level = "warning" if is_fault(stop.stop_reason) else "info"
    if (
        stop.stop_reason == NOT_AUTHENTICATED
    ):  # every stream will end like this until they are right
        level = "error"
    again = _take_up_restart(connection, config, stop, arrival) if row_id else None
    if again:
        detail += f"; it was started again since, which is meeting {again.row_id}"
    elif row_id is None:
        detail += "; no connection of this stream is known yet"
    return Taken(
        outcome="accepted",
        detail=detail,
        level=level,
        stream=stop.rtms_stream_id,
        row_id=row_id,
        is_due=again is not None and again.is_due,
    )


def _take_up_restart(
    connection: Connection, config: Config, stop: Stopped, arrival: Arrival
) -> Taken | None:
    """A restart that overtook its own stop looked like a duplicate of what was still live."""
    later = connection.execute(
        _starts_after(stop.rtms_stream_id, stop.event_ts)
        .order_by(EVENTS.c.event_ts.desc())
        .limit(1)
    ).first()
    if later is None:
        return None
    start = parse(later.payload)
    assert isinstance(start, Started)
    taken = _start(connection, config, start, replace(arrival, tracking_id=later.tracking_id))
    if taken.row_id is None:
        return None
    connection.execute(
        EVENTS.update().where(EVENTS.c.id == later.id).values(outcome=taken.recorded)
    )
    return taken


def new_key() -> str:
    """A new idempotency key, a UUID. Nobody must be unable to guess it, so it costs no system call:
    keys are made while others wait for the database."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


NEW_ROW_COLUMNS = (
    "rtms_stream_id",
    "meeting_uuid",
    "meeting_id",
    "product",
    "operator_id",
    "is_original_host",
    "server_urls",
    "event_ts",
    "tracking_id",
    "state",
    "reason",
    "last_error",
    "attempts",
    "meeting_slot",
    "due_at",
    "connect_by",
    "idempotency_key",
    "received_at",
)


def new_row(config: Config, start: Started, verdict: Verdict, arrival: Arrival) -> dict[str, Any]:
    """The row that a start makes, complete but for its id."""
    # A sender's clock that is ahead of ours must not lengthen the window.
    began_at = min(clock.from_milliseconds(start.event_ts), arrival.received_at)
    one_a_meeting = config.record_streams == "first"
    return {
        "rtms_stream_id": start.rtms_stream_id,
        "meeting_uuid": start.meeting_uuid,
        "meeting_id": start.meeting_id,
        "product": start.product,
        "operator_id": start.operator_id,
        "is_original_host": start.is_original_host,
        "server_urls": start.server_urls,
        "event_ts": start.event_ts,
        "tracking_id": arrival.tracking_id,
        "state": State.SKIPPED if verdict.skip else State.PENDING,
        "reason": verdict.skip,
        "last_error": verdict.detail if verdict.skip else None,
        "attempts": 0,
        "meeting_slot": start.meeting_uuid if one_a_meeting else None,
        "due_at": None if verdict.skip else arrival.received_at,
        "connect_by": began_at + timedelta(seconds=config.connect_window_seconds),
        "idempotency_key": new_key(),
        "received_at": arrival.received_at,
    }


def _end(connection: Connection, stop: Stopped, received_at: datetime) -> int | None:
    """A stop ends what was connected, and skips what was not. Where a try is under way or its
    outcome is not known, the row stays until it is: Recall may have the stream."""
    stopped = {
        "stopped_at": clock.from_milliseconds(stop.event_ts),
        "stop_reason": stop.stop_reason,
    }
    words = stop_in_words(stop.stop_reason)
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.state, CONNECTS.c.key_used_at)
        .where(
            CONNECTS.c.rtms_stream_id == stop.rtms_stream_id,
            CONNECTS.c.event_ts <= stop.event_ts,
            CONNECTS.c.stopped_at.is_(None),
            CONNECTS.c.superseded_by.is_(None),
        )
        .order_by(CONNECTS.c.event_ts)
        .with_for_update()  # the dispatcher may be claiming or settling it at this moment
    ).all()
    for row in rows:
        change: dict[str, Any] = dict(stopped)
        if row.state == State.CONNECTED:
            change |= {"state": State.ENDED, "due_at": first_look(received_at)}
        elif row.state == State.PENDING and row.key_used_at is None:
            change |= {
                "state": State.SKIPPED,
                "reason": Reason.STOPPED_FIRST,
                "due_at": None,
                "last_error": f"The stream was over before it was connected: {words}.",
            }
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == row.id).values(change))
    return rows[-1].id if rows else None


def _interrupt(connection: Connection, event: Interrupted) -> Taken:
    row_id = connection.scalar(
        CONNECTS.update()
        .where(
            CONNECTS.c.rtms_stream_id == event.rtms_stream_id,
            CONNECTS.c.event_ts <= event.event_ts,
            CONNECTS.c.state.in_(LIVE_STATES),
            CONNECTS.c.stopped_at.is_(None),
        )
        .values(interrupted_at=clock.from_milliseconds(event.event_ts))
        .returning(CONNECTS.c.id)
    )
    return Taken(
        outcome="accepted",
        detail="the stream's signalling connection broke; Zoom waits for Recall to come back",
        level="warning",
        stream=event.rtms_stream_id,
        row_id=row_id,
    )


def _known(connection: Connection, stream: str) -> list[Known]:
    rows = connection.execute(
        sa.select(
            CONNECTS.c.id,
            CONNECTS.c.event_ts,
            CONNECTS.c.server_urls,
            CONNECTS.c.state,
            CONNECTS.c.reason,
            CONNECTS.c.stopped_at,
        )
        .where(CONNECTS.c.rtms_stream_id == stream)
        .with_for_update()  # the dispatcher may be settling one at this moment
    )
    return [
        Known(
            id=row.id,
            event_ts=row.event_ts,
            server_urls=row.server_urls,
            state=row.state,
            reason=row.reason,
            stopped=row.stopped_at is not None,
        )
        for row in rows
    ]


def _starts_after(stream: str, event_ts: int) -> sa.Select[Any]:
    """Recorded starts of a stream that are later by Zoom's clock."""
    return sa.select(EVENTS.c.id, EVENTS.c.payload, EVENTS.c.tracking_id).where(
        EVENTS.c.rtms_stream_id == stream,
        EVENTS.c.event.endswith(".rtms_started"),
        EVENTS.c.event_ts > event_ts,
    )


def _stops_after(start: Started) -> sa.Select[tuple[int, dict[str, Any]]]:
    """Stops of a stream that were recorded before its start and are later by Zoom's clock."""
    return (
        sa.select(EVENTS.c.event_ts, EVENTS.c.payload)
        .where(
            EVENTS.c.rtms_stream_id == start.rtms_stream_id,
            EVENTS.c.event.endswith(".rtms_stopped"),
            EVENTS.c.event_ts > start.event_ts,
        )
        .order_by(EVENTS.c.event_ts)
        .limit(1)
    )


def _last_stop_ts(connection: Connection, start: Started) -> int | None:
    event_ts: int | None = connection.scalar(_stops_after(start))
    return event_ts


def _copy_stop(connection: Connection, row_id: int | None, start: Started) -> None:
    """Write into a row the stop that had overtaken its start."""
    stop = parse(connection.execute(_stops_after(start)).one().payload)
    assert isinstance(stop, Stopped)
    connection.execute(
        CONNECTS.update()
        .where(CONNECTS.c.id == row_id)
        .values(
            stopped_at=clock.from_milliseconds(stop.event_ts),
            stop_reason=stop.stop_reason,
        )
    )


def _meeting_is_live(connection: Connection, config: Config, start: Started) -> bool:
    """Whether another stream of the meeting has the one place that RECORD_STREAMS=first gives."""
    if config.record_streams != "first":
        return False
    return bool(
        connection.scalar(
            sa.select(
                sa.exists().where(
                    CONNECTS.c.meeting_slot == start.meeting_uuid,
                    CONNECTS.c.rtms_stream_id != start.rtms_stream_id,
                    sa.text(LIVE),
                )
            )
        )
    )
