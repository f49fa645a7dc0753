"""Apply one Zoom event to the tables, inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import (
    CONNECTS,
    EVENTS,
    FOLLOWED,
    LIVE,
    LIVE_OF_A_USER,
    LIVE_STATES,
    Reason,
    State,
)
from rtms import clock
from rtms.intake import meeting_names
from rtms.intake.meeting_names import MeetingName
from rtms.intake.start_rules import Known, OtherStream, Verdict, is_to_rejoin, judge
from rtms.recall.idempotency import new_key
from rtms.recall.polling import first_look
from rtms.zoom.events import parse
from rtms.zoom.meanings import (
    ConcurrencyLimited,
    ConcurrencyNearLimit,
    Interrupted,
    Meaning,
    MeetingStarted,
    RequestStatus,
    Started,
    Stopped,
)
from rtms.zoom.stop_reasons import NOT_AUTHENTICATED, is_fault, stop_reason_text


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The outcome of a delivery."""

    outcome: str  # accepted, duplicate, ignored, unknown or rejected
    detail: str  # why, in words
    level: str = "info"  # of its log line
    stream: str | None = None
    row_id: int | None = None
    is_due: bool = False  # whether the row is to be connected now

    @property
    def recorded(self) -> str:
        """The outcome as `webhook_events` stores it."""
        return f"{self.outcome}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """When an event arrived, and its tracking id at Zoom."""

    received_at: datetime  # by our clock
    sent_at: datetime | None  # by Zoom's clock; None in rows of older versions
    tracking_id: str | None

    @property
    def sent_ts(self) -> int:
        """When Zoom sent it, in milliseconds since epoch."""
        return clock.to_milliseconds(self.sent_at or self.received_at)

    def moved_to(self, now: datetime) -> Arrival:
        """Return the arrival as if it were now, keeping how much of the window has passed."""
        waited = now - self.received_at
        return replace(self, received_at=now, sent_at=(self.sent_at or self.received_at) + waited)


def apply(connection: Connection, config: Config, meaning: Meaning, arrival: Arrival) -> Taken:
    """Apply an event. The caller serializes on the names that `names_of` returns."""
    match meaning:
        case Started():
            return _start(connection, config, meaning, arrival)
        case Stopped():
            return _stop(connection, config, meaning, arrival)
        case Interrupted():
            return _interrupt(connection, config, meaning, arrival)
        case MeetingStarted():
            return _name_meeting(connection, meaning)
        case RequestStatus():
            return _show_request(connection, meaning)
        case ConcurrencyNearLimit():
            return Taken(outcome="accepted", detail=_near_limit(meaning), level="warning")
        case ConcurrencyLimited():
            return Taken(
                outcome="accepted",
                detail=f"Zoom started no stream for {_which(meaning.meeting_uuid)}: the account "
                f"has as many as Zoom allows at once{_in_brackets(meaning.number)}. Ask Zoom for "
                "more, or stop streams that are not needed",
                level="error",
            )
        case _:
            return Taken(outcome="unknown", detail="the server does not handle this event")


def _near_limit(event: ConcurrencyNearLimit) -> str:
    """Return what Zoom said about its limit of streams at once."""
    if event.number is None or event.limit is None:
        share = "" if event.percentage is None else f": {event.percentage} % are in use"
        return f"the account is close to the number of streams that Zoom allows at once{share}"
    share = _in_brackets(event.percentage, " %")
    return (
        f"{event.number} of the {event.limit} streams that Zoom allows this account at once are "
        f"in use{share}"
    )


def _which(meeting_uuid: str | None) -> str:
    return "a meeting that it does not name" if meeting_uuid is None else f"meeting {meeting_uuid}"


def _in_brackets(number: int | None, unit: str = "") -> str:
    return "" if number is None else f" ({number}{unit})"


def names_of(meaning: Meaning) -> list[str]:
    """Return the names to serialize an event on. A start must see a stop that arrived before it, a
    stop must see its start, and both must see their meeting's name and live streams. On PostgreSQL,
    constraints alone cannot guarantee that."""
    names = []
    if isinstance(meaning, Started | Stopped | Interrupted):
        names.append(f"stream:{meaning.rtms_stream_id}")
    start = meaning.rejoin if isinstance(meaning, Interrupted) else meaning
    if isinstance(start, Started | MeetingStarted):
        names.append(f"meeting:{start.meeting_uuid}")
    return names


def taken_for(start: Started, verdict: Verdict, row_id: int | None) -> Taken:
    """Return the outcome of a start that inserted a row."""
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
    stop = _stop_after(connection, start)
    verdict = judge(
        start,
        _known(connection, start.rtms_stream_id),
        others=_other_streams(connection, start),
        operator_was_wanted=_operator_was_wanted(connection, config, start),
        last_stop_ts=stop.event_ts if stop else None,
        record_streams=config.record_streams,
        later_start_known=bool(connection.scalar(sa.select(later.exists()))),
    )
    if not verdict.new_row:
        return Taken(
            outcome="duplicate", detail=verdict.detail, level="debug", stream=start.rtms_stream_id
        )
    older = CONNECTS.c.id.in_(verdict.supersedes)
    if verdict.supersedes:
        connection.execute(
            CONNECTS.update()
            .where(older)
            .values(
                state=State.ENDED,
                # The recording made so far is followed like any other.
                due_at=sa.case(
                    (CONNECTS.c.recall_id.is_not(None), first_look(arrival.received_at))
                ),
            )
        )
    named = meeting_names.of_meetings(connection, [start.meeting_uuid]).get(start.meeting_uuid)
    row_id = connection.scalar(
        CONNECTS.insert()
        .values(**new_row(config, start, verdict, arrival, named))
        .returning(CONNECTS.c.id)
    )
    if verdict.supersedes:
        connection.execute(CONNECTS.update().where(older).values(superseded_by=row_id))
    if verdict.skip == Reason.STOPPED_FIRST and stop:
        connection.execute(
            CONNECTS.update().where(CONNECTS.c.id == row_id).values(_as_stopped(stop))
        )
    return taken_for(start, verdict, row_id)


def _stop(connection: Connection, config: Config, stop: Stopped, arrival: Arrival) -> Taken:
    row_id = _end(connection, stop, arrival.received_at)
    detail = f"the stream stopped: {stop_reason_text(stop.stop_reason)}"
    level = "warning" if is_fault(stop.stop_reason) else "info"
    if stop.stop_reason == NOT_AUTHENTICATED:  # every stream fails until the credentials are right
        level = "error"
    restart = _apply_restart(connection, config, stop, arrival) if row_id else None
    if restart:
        detail += f"; it was started again since as meeting {restart.row_id}"
    elif row_id is None:
        detail += "; its start has not arrived yet"
    return Taken(
        outcome="accepted",
        detail=detail,
        level=level,
        stream=stop.rtms_stream_id,
        row_id=row_id,
        is_due=restart is not None and restart.is_due,
    )


def _apply_restart(
    connection: Connection, config: Config, stop: Stopped, arrival: Arrival
) -> Taken | None:
    """Apply a restart that arrived before this stop. It was taken for a duplicate of the start."""
    later = connection.execute(
        _starts_after(stop.rtms_stream_id, stop.event_ts)
        .order_by(EVENTS.c.event_ts.desc())
        .limit(1)
    ).first()
    if later is None:
        return None
    arrived = Arrival(
        received_at=later.received_at, sent_at=later.sent_at, tracking_id=later.tracking_id
    )
    start = parse(later.payload, arrived.sent_ts)
    assert isinstance(start, Started)
    taken = _start(connection, config, start, arrived.moved_to(arrival.received_at))
    if taken.row_id is None:
        return None
    connection.execute(
        EVENTS.update().where(EVENTS.c.id == later.id).values(outcome=taken.recorded)
    )
    return taken


NEW_ROW_COLUMNS = (
    "rtms_stream_id",
    "meeting_uuid",
    "meeting_id",
    "product",
    "account_id",
    "operator_id",
    "is_original_host",
    "server_urls",
    "event_ts",
    "tracking_id",
    "topic",
    "topic_search",
    "host_id",
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


def new_row(
    config: Config,
    start: Started,
    verdict: Verdict,
    arrival: Arrival,
    named: MeetingName | None = None,
) -> dict[str, Any]:
    """Return a start's row of `meeting_direct_connects`, without its id.

    Args:
        named: its meeting's name, if known.
    """
    one_a_meeting = config.record_streams == "first"
    return {
        "rtms_stream_id": start.rtms_stream_id,
        "meeting_uuid": start.meeting_uuid,
        "meeting_id": start.meeting_id,
        "product": start.product,
        "account_id": start.account_id,
        "operator_id": start.operator_id,
        "is_original_host": start.is_original_host,
        "server_urls": start.server_urls,
        "event_ts": start.event_ts,
        "tracking_id": arrival.tracking_id,
        **(named or MeetingName()).columns(),
        "state": State.SKIPPED if verdict.skip else State.PENDING,
        "reason": verdict.skip,
        "last_error": verdict.detail if verdict.skip else None,
        "attempts": 0,
        "meeting_slot": start.meeting_uuid if one_a_meeting else None,
        "due_at": None if verdict.skip else arrival.received_at,
        "connect_by": window_closes_at(
            start.event_ts, arrival, seconds=config.connect_window_seconds
        ),
        "idempotency_key": new_key(),
        "received_at": arrival.received_at,
    }


def window_closes_at(event_ts: int, arrival: Arrival, *, seconds: float) -> datetime:
    """Return when Zoom stops waiting for a stream to be connected, by our clock.

    The time already spent is measured by Zoom's clock alone, from the event to its sending, so an
    offset between the two clocks does not matter.

    Args:
        event_ts: milliseconds since epoch, Zoom's clock.
        arrival: when it arrived.
        seconds: how long Zoom waits (CONNECT_WINDOW_SECONDS).
    """
    passed = max(arrival.sent_ts - event_ts, 0) / 1000
    return arrival.received_at + timedelta(seconds=seconds - passed)


def _as_stopped(stop: Stopped) -> dict[str, Any]:
    """Return a stop as columns."""
    return {
        "stopped_at": clock.from_milliseconds(stop.event_ts),
        "stop_reason": stop.stop_reason,
    }


def _end(connection: Connection, stop: Stopped, received_at: datetime) -> int | None:
    """End a stopped stream's connected rows and skip its untried ones. A row with a try whose
    outcome is unknown stays pending, because Recall may have the stream.

    Returns:
        The id of the latest row; None where there is none.
    """
    why = stop_reason_text(stop.stop_reason)
    newer = CONNECTS.alias("newer")
    moved = sa.exists().where(
        newer.c.id == CONNECTS.c.superseded_by, newer.c.rtms_stream_id == stop.rtms_stream_id
    )
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.state, CONNECTS.c.key_used_at)
        .where(
            CONNECTS.c.rtms_stream_id == stop.rtms_stream_id,
            CONNECTS.c.event_ts <= stop.event_ts,
            CONNECTS.c.stopped_at.is_(None),
            sa.not_(moved),  # to other servers: the later row is the one that stops
        )
        .order_by(CONNECTS.c.event_ts)
        .with_for_update(of=CONNECTS)  # the dispatcher may be claiming it or recording its outcome
    ).all()
    for row in rows:
        change = _as_stopped(stop)
        if row.state == State.CONNECTED:
            change |= {"state": State.ENDED, "due_at": first_look(received_at)}
        elif row.state == State.PENDING and row.key_used_at is None:
            change |= {
                "state": State.SKIPPED,
                "reason": Reason.STOPPED_FIRST,
                "due_at": None,
                "last_error": f"The stream was over before it was connected: {why}.",
            }
        connection.execute(CONNECTS.update().where(CONNECTS.c.id == row.id).values(change))
    return rows[-1].id if rows else None


def _interrupt(
    connection: Connection, config: Config, event: Interrupted, arrival: Arrival
) -> Taken:
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
    if event.rejoin and is_to_rejoin(event.rejoin, _known(connection, event.rtms_stream_id)):
        start = _with_known_fields(connection, event.rejoin)
        taken = _start(connection, config, start, arrival)
        if taken.row_id is not None:
            return replace(
                taken, detail=f"the signalling connection broke; {taken.detail}", level="warning"
            )
    return Taken(
        outcome="accepted",
        detail="the stream's signalling connection broke; Zoom waits for Recall to reconnect",
        level="warning",
        stream=event.rtms_stream_id,
        row_id=row_id,
    )


def _with_known_fields(connection: Connection, rejoin: Started) -> Started:
    """Fill in what an interruption leaves out from its stream's latest row."""
    names = ("meeting_uuid", "meeting_id", "account_id", "operator_id", "is_original_host")
    row = connection.execute(
        sa.select(*(CONNECTS.c[name] for name in names))
        .where(CONNECTS.c.rtms_stream_id == rejoin.rtms_stream_id)
        .order_by(CONNECTS.c.event_ts.desc())
        .limit(1)
    ).one_or_none()
    known = {name: getattr(row, name) for name in names if getattr(row, name, None) is not None}
    return replace(rejoin, **known)


def _name_meeting(connection: Connection, event: MeetingStarted) -> Taken:
    """Name the live streams of a meeting. Later ones are named when they start."""
    named = MeetingName(topic=event.topic, host_id=event.host_id).columns()
    # A field it leaves out keeps its value, such as a topic from Recall. `id` keeps the statement
    # valid where it leaves out all of them.
    given = {name: value for name, value in named.items() if value is not None}
    row_id = connection.scalar(
        CONNECTS.update()
        .where(CONNECTS.c.meeting_uuid == event.meeting_uuid, sa.text(LIVE_OF_A_USER))
        .values({"id": CONNECTS.c.id, **given})
        .returning(CONNECTS.c.id)
    )
    return Taken(
        outcome="accepted",
        detail="the meeting began; its streams are shown with its topic and host",
        level="debug",
        row_id=row_id,
    )


def _show_request(connection: Connection, event: RequestStatus) -> Taken:
    """Find the stream that a request's answer is about, if there is one by now."""
    named = [
        CONNECTS.c[name] == value
        for name in ("rtms_stream_id", "meeting_uuid", "meeting_id")
        if (value := getattr(event, name))
    ]
    row = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id)
        .where(sa.text(LIVE), sa.or_(sa.false(), *named))
        .order_by(CONNECTS.c.id.desc())
        .limit(1)
    ).one_or_none()
    return Taken(
        outcome="accepted",
        detail="the host answered a request to start a stream; the event's payload says how",
        stream=row.rtms_stream_id if row else event.rtms_stream_id,
        row_id=row.id if row else None,
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
        .with_for_update()  # the dispatcher may be recording an outcome
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
    """Select the recorded starts of a stream that are later by Zoom's clock."""
    return sa.select(
        EVENTS.c.id,
        EVENTS.c.payload,
        EVENTS.c.tracking_id,
        EVENTS.c.received_at,
        EVENTS.c.sent_at,
    ).where(
        EVENTS.c.rtms_stream_id == stream,
        EVENTS.c.event.endswith(".rtms_started"),
        EVENTS.c.event_ts > event_ts,
    )


def _stop_after(connection: Connection, start: Started) -> Stopped | None:
    """Return the stop that arrived before its start, though it is later by Zoom's clock."""
    stored = connection.execute(
        sa.select(EVENTS.c.event_ts, EVENTS.c.payload)
        .where(
            EVENTS.c.rtms_stream_id == start.rtms_stream_id,
            EVENTS.c.event.endswith("rtms_stopped"),
            EVENTS.c.event_ts > start.event_ts,
        )
        .order_by(EVENTS.c.event_ts)
        .limit(1)
    ).first()
    if stored is None:
        return None
    stop = parse(stored.payload, stored.event_ts)
    assert isinstance(stop, Stopped)
    return stop


def _other_streams(connection: Connection, start: Started) -> list[OtherStream]:
    """Return the live rows of other streams of a meeting."""
    # One select for each index: the users' streams, and the one of RECORD_STREAMS=first.
    ids = sa.union_all(
        sa.select(CONNECTS.c.id).where(
            CONNECTS.c.meeting_uuid == start.meeting_uuid, sa.text(LIVE_OF_A_USER)
        ),
        sa.select(CONNECTS.c.id).where(
            CONNECTS.c.meeting_slot == start.meeting_uuid, sa.text(LIVE)
        ),
    )
    rows = connection.execute(
        sa.select(CONNECTS.c.id, CONNECTS.c.event_ts, CONNECTS.c.operator_id)
        .where(CONNECTS.c.id.in_(ids), CONNECTS.c.rtms_stream_id != start.rtms_stream_id)
        .order_by(CONNECTS.c.id)
        .with_for_update()  # one of them may be superseded
    )
    return [OtherStream(**row._mapping) for row in rows]


def _operator_was_wanted(connection: Connection, config: Config, start: Started) -> bool:
    """Return whether an earlier stream of the same user in this meeting was wanted. The user may no
    longer be host: the app continues when the host hands the meeting over (Zoom)."""
    if config.record_streams != "host" or start.is_original_host is not False:
        return False
    if start.operator_id is None:
        return False
    unwanted = sa.or_(
        CONNECTS.c.reason.in_((Reason.NOT_WANTED, Reason.UNSUPPORTED)),
        # It was over before the rules decided. If the user was wanted, an earlier row shows it.
        sa.and_(CONNECTS.c.reason == Reason.STOPPED_FIRST, CONNECTS.c.is_original_host.is_(False)),
    )
    # One query for each index; together they cover all rows.
    kinds = (LIVE, "due_at IS NULL", FOLLOWED)
    return any(
        connection.scalar(
            sa.select(
                sa.exists().where(
                    CONNECTS.c.meeting_uuid == start.meeting_uuid,
                    CONNECTS.c.operator_id == start.operator_id,
                    sa.or_(CONNECTS.c.reason.is_(None), sa.not_(unwanted)),
                    sa.text(kind),
                )
            )
        )
        for kind in kinds
    )
