"""Takes a delivery in: the raw record, and what it means for the table, in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
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
    Source,
    State,
)
from rtms import clock
from rtms.database import Database
from rtms.events import (
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    Interrupted,
    MalformedEvent,
    Meaning,
    Started,
    Stopped,
    dedupe_key,
    is_fault,
    parse,
    stop_in_words,
)
from rtms.followup import first_look
from rtms.record import record_once
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


class Intake:
    """Takes deliveries in, one transaction each."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config

    def take(self, body: dict[str, Any], tracking_id: str | None = None) -> Taken:
        """Record a verified delivery and do what it means. When this returns, both are on disk.

        Args:
            body: the delivery's body, decoded and verified.
            tracking_id: Zoom's `x-zm-trackingid`.

        Raises:
            DatabaseUnavailable: nothing was recorded; let Zoom deliver it again.
        """
        meaning, rejected = _read(body)
        received_at = clock.now()
        event = {
            "source": Source.ZOOM,
            "event": body["event"],
            "event_ts": getattr(meaning, "event_ts", None),
            "dedupe_key": dedupe_key(body, meaning),
            "rtms_stream_id": getattr(meaning, "rtms_stream_id", None),
            "tracking_id": tracking_id,
            "payload": body,
            "received_at": received_at,
        }

        def job(connection: Connection) -> Taken:
            if rejected:
                taken = rejected
            else:
                assert meaning is not None
                self._serialize(connection, meaning)
                if _is_recorded(connection, event["dedupe_key"]):
                    return _duplicate(meaning)
                taken = self._apply(connection, meaning, received_at, tracking_id)
            stored = record_once(connection, {**event, "outcome": taken.recorded})
            return taken if stored else _duplicate(meaning) if meaning else taken

        return self._database.write(job)

    def replay(self, event_id: int) -> Taken | None:
        """Run a stored event of Zoom's through the rules again, as if it had just arrived.

        Returns:
            What became of it; None where no such event is stored.
        """
        received_at = clock.now()

        def job(connection: Connection) -> Taken | None:
            stored = connection.execute(
                sa.select(EVENTS.c.payload, EVENTS.c.tracking_id).where(
                    EVENTS.c.id == event_id, EVENTS.c.source == Source.ZOOM
                )
            ).one_or_none()
            if stored is None:
                return None
            meaning, rejected = _read(stored.payload)
            if rejected:
                taken = rejected
            else:
                assert meaning is not None
                self._serialize(connection, meaning)
                taken = self._apply(connection, meaning, received_at, stored.tracking_id)
            if taken.outcome != "duplicate":  # the record keeps what came of it at first
                connection.execute(
                    EVENTS.update().where(EVENTS.c.id == event_id).values(outcome=taken.recorded)
                )
            return taken

        return self._database.write(job)

    def _serialize(self, connection: Connection, meaning: Meaning) -> None:
        """One stream's deliveries are decided one after another, whichever processes have them: a
        start must see the stop that overtook it, and a stop the start. (Constraints alone cannot
        promise that on PostgreSQL.)"""
        names = []
        if isinstance(meaning, Started | Stopped | Interrupted):
            names.append(f"stream:{meaning.rtms_stream_id}")
        if isinstance(meaning, Started) and self._config.record_streams == "first":
            names.append(f"meeting:{meaning.meeting_uuid}")
        self._database.serialize_on(connection, *names)

    def _apply(
        self,
        connection: Connection,
        meaning: Meaning,
        received_at: datetime,
        tracking_id: str | None,
    ) -> Taken:
        match meaning:
            case Started():
                return self._start(connection, meaning, received_at, tracking_id)
            case Stopped():
                return self._stop(connection, meaning, received_at)
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

    def _start(
        self,
        connection: Connection,
        start: Started,
        received_at: datetime,
        tracking_id: str | None,
    ) -> Taken:
        first_only = self._config.record_streams == "first"
        verdict = judge(
            start,
            _known(connection, start.rtms_stream_id),
            last_stop_ts=_last_stop_ts(connection, start),
            meeting_is_live=first_only and _meeting_is_live(connection, start),
            record_streams=self._config.record_streams,
        )
        stream = start.rtms_stream_id
        if not verdict.new_row:
            return Taken(outcome="duplicate", detail=verdict.detail, stream=stream)
        if verdict.supersedes:
            connection.execute(
                CONNECTS.update()
                .where(CONNECTS.c.id == verdict.supersedes)
                .values(
                    state=State.ENDED,
                    # What it recorded until now is followed like any other recording.
                    due_at=sa.case((CONNECTS.c.recall_id.is_not(None), first_look(received_at))),
                )
            )
        row_id = connection.scalar(
            CONNECTS.insert()
            .values(**self._new_row(start, verdict, received_at, tracking_id))
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
        return Taken(
            outcome="ignored" if verdict.skip else "accepted",
            detail=verdict.detail,
            level="warning" if verdict.skip == Reason.UNSUPPORTED else "info",
            stream=stream,
            row_id=row_id,
            is_due=verdict.skip is None,
        )

    def _stop(self, connection: Connection, stop: Stopped, received_at: datetime) -> Taken:
        row_id = _end(connection, stop, received_at)
        detail = f"the stream stopped: {stop_in_words(stop.stop_reason)}"
        level = "warning" if is_fault(stop.stop_reason) else "info"
        if stop.stop_reason == 18:  # every stream will end like this until they are right
            level = "error"
        again = self._take_up_restart(connection, stop, received_at) if row_id else None
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
        self, connection: Connection, stop: Stopped, received_at: datetime
    ) -> Taken | None:
        """A restart that overtook its own stop looked like a duplicate of what was still live."""
        later = connection.execute(
            sa.select(EVENTS.c.id, EVENTS.c.payload, EVENTS.c.tracking_id)
            .where(
                EVENTS.c.rtms_stream_id == stop.rtms_stream_id,
                EVENTS.c.event.endswith(".rtms_started"),
                EVENTS.c.event_ts > stop.event_ts,
            )
            .order_by(EVENTS.c.event_ts.desc())
            .limit(1)
        ).first()
        if later is None:
            return None
        start = parse(later.payload)
        assert isinstance(start, Started)
        taken = self._start(connection, start, received_at, later.tracking_id)
        if taken.row_id is None:
            return None
        connection.execute(
            EVENTS.update().where(EVENTS.c.id == later.id).values(outcome=taken.recorded)
        )
        return taken

    def _new_row(
        self, start: Started, verdict: Verdict, received_at: datetime, tracking_id: str | None
    ) -> dict[str, Any]:
        # A sender's clock that is ahead of ours must not lengthen the window.
        began_at = min(clock.from_milliseconds(start.event_ts), received_at)
        one_a_meeting = self._config.record_streams == "first"
        return {
            "rtms_stream_id": start.rtms_stream_id,
            "meeting_uuid": start.meeting_uuid,
            "meeting_id": start.meeting_id,
            "product": start.product,
            "operator_id": start.operator_id,
            "is_original_host": start.is_original_host,
            "server_urls": start.server_urls,
            "event_ts": start.event_ts,
            "tracking_id": tracking_id,
            "state": State.SKIPPED if verdict.skip else State.PENDING,
            "reason": verdict.skip,
            "last_error": verdict.detail if verdict.skip else None,
            "attempts": 0,
            "meeting_slot": start.meeting_uuid if one_a_meeting else None,
            "due_at": None if verdict.skip else received_at,
            "connect_by": began_at + timedelta(seconds=self._config.connect_window_seconds),
            "idempotency_key": str(uuid.uuid4()),
            "received_at": received_at,
        }


def _read(body: dict[str, Any]) -> tuple[Meaning | None, Taken | None]:
    """A body's meaning, or that it is rejected and why."""
    try:
        return parse(body), None
    except MalformedEvent as error:
        return None, Taken(outcome="rejected", detail=str(error), level="error")


def _duplicate(meaning: Meaning | None) -> Taken:
    return Taken(
        outcome="duplicate",
        detail="this delivery is recorded already",
        stream=getattr(meaning, "rtms_stream_id", None),
    )


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


def _meeting_is_live(connection: Connection, start: Started) -> bool:
    return bool(
        connection.scalar(
            sa.select(
                sa.exists().where(
                    CONNECTS.c.meeting_uuid == start.meeting_uuid,
                    CONNECTS.c.rtms_stream_id != start.rtms_stream_id,
                    sa.text(LIVE),
                )
            )
        )
    )


def _is_recorded(connection: Connection, key: str) -> bool:
    return bool(
        connection.scalar(
            sa.select(sa.exists().where(EVENTS.c.source == Source.ZOOM, EVENTS.c.dedupe_key == key))
        )
    )
