"""Record Zoom's deliveries and apply them to the tables, in one transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, LIVE_OF_A_USER, Source
from rtms import clock
from rtms.db.bulk import BulkFind, BulkInsert, PartialIndex
from rtms.db.database import Database
from rtms.db.engines import PATIENCE
from rtms.db.group_commit import GroupCommit, Ticket
from rtms.intake import handlers
from rtms.intake.columns import NEW_ROW_COLUMNS, new_row
from rtms.intake.event_log import record_once
from rtms.intake.results import Arrival, IntakeResult
from rtms.intake.start_rules import Verdict, judge
from rtms.intake.starts import start_result
from rtms.zoom.events import dedupe_key, parse
from rtms.zoom.fields import MalformedEvent
from rtms.zoom.meanings import ConcurrencyLimited, Meaning, MeetingStarted, RequestStatus, Started

_NEW_CONNECTS = BulkInsert(CONNECTS, NEW_ROW_COLUMNS)
_NEW_EVENTS = BulkInsert(
    EVENTS,
    (
        "source",
        "event",
        "event_ts",
        "dedupe_key",
        "rtms_stream_id",
        "tracking_id",
        "sent_at",
        "payload",
        "received_at",
        "outcome",
    ),
)

# Streams that any event or row names.
_KNOWN_STREAMS = BulkFind(EVENTS.c.rtms_stream_id, CONNECTS.c.rtms_stream_id)
# Meetings that have a live stream of a known user, or whose name is known.
_KNOWN_MEETINGS = BulkFind(
    EVENTS.c.meeting_uuid,
    CONNECTS.c.meeting_uuid,
    by={
        CONNECTS.c.meeting_uuid: PartialIndex(
            name="uq_live_operator",
            then="operator_id",
            condition=LIVE_OF_A_USER,
        )
    },
)

_CROWD = 4  # deliveries in one group
_CROWD_SECONDS = 0.05  # how long intake counts as crowded after such a group


@dataclass(frozen=True, kw_only=True)
class _Delivery:
    """A verified delivery, parsed before it waits for the database."""

    body: dict[str, Any]
    meaning: Meaning | None
    rejected: IntakeResult | None  # why it cannot be parsed; None where it can
    dedupe_key: str
    arrival: Arrival

    def event(self, taken: IntakeResult) -> dict[str, Any]:
        """Return the delivery's row of `webhook_events`."""
        return {
            "source": Source.ZOOM.value,
            "event": self.body["event"],
            "event_ts": getattr(self.meaning, "event_ts", None),
            "dedupe_key": self.dedupe_key,
            "rtms_stream_id": taken.stream,
            **_meeting_of(self.meaning),
            "tracking_id": self.arrival.tracking_id,
            "sent_at": self.arrival.sent_at,
            "payload": self.body,
            "received_at": self.arrival.received_at,
            "outcome": taken.recorded,
        }


class Intake:
    """Takes deliveries in. Deliveries that arrive together share a transaction."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._group = GroupCommit(self._commit, patience=PATIENCE)
        self._last_size, self._last_at = 0, 0.0

    @property
    def is_crowded(self) -> bool:
        """Whether deliveries arrive faster than they can be recorded one by one."""
        return self._last_size >= _CROWD and time.monotonic() - self._last_at < _CROWD_SECONDS

    def take(self, body: dict[str, Any], tracking_id: str | None = None) -> IntakeResult:
        """Record a verified delivery and apply it. When this returns, both are on disk.

        Args:
            body: the delivery's body, decoded and verified.
            tracking_id: Zoom's `x-zm-trackingid`.

        Raises:
            DatabaseUnavailable: nothing was recorded; answer so that Zoom delivers it again.
        """
        return self.begin(body, tracking_id).result()

    def begin(
        self,
        body: dict[str, Any],
        tracking_id: str | None = None,
        *,
        sent_at: datetime | None = None,
        since: float | None = None,
    ) -> Ticket[Any, IntakeResult]:
        """Enqueue a verified delivery. It is on disk once the ticket's `result` returns.

        Args:
            sent_at: when Zoom sent it, by Zoom's clock (`x-zm-request-timestamp`); by default now.
            since: when it arrived (`time.monotonic()`); by default now.
        """
        arrival = Arrival(received_at=clock.now(), sent_at=sent_at, tracking_id=tracking_id)
        meaning, rejected = _parse(body, arrival)
        return self._group.enqueue(
            _Delivery(
                body=body,
                meaning=meaning,
                rejected=rejected,
                dedupe_key=dedupe_key(body, meaning),
                arrival=arrival,
            ),
            since=since,
        )

    def replay(self, event_id: int) -> IntakeResult | None:
        """Apply a stored Zoom event again, as if it had just arrived.

        Returns:
            The outcome; None where no such event is stored.
        """

        def job(connection: Connection) -> IntakeResult | None:
            stored = connection.execute(
                sa.select(
                    EVENTS.c.payload, EVENTS.c.tracking_id, EVENTS.c.sent_at, EVENTS.c.received_at
                ).where(EVENTS.c.id == event_id, EVENTS.c.source == Source.ZOOM)
            ).one_or_none()
            if stored is None:
                return None
            arrival = Arrival(
                received_at=stored.received_at,
                sent_at=stored.sent_at,
                tracking_id=stored.tracking_id,
            )
            meaning, rejected = _parse(stored.payload, arrival)
            if rejected:
                taken = rejected
            else:
                assert meaning is not None
                self._serialize(connection, [meaning])
                now = arrival.moved_to(clock.now())
                taken = handlers.apply(connection, self._config, meaning, now)
            if taken.outcome != "duplicate":  # a duplicate leaves the first outcome on record
                connection.execute(
                    EVENTS.update().where(EVENTS.c.id == event_id).values(outcome=taken.recorded)
                )
            return taken

        return self._database.write(job)

    def _commit(
        self, gather: Callable[[], Sequence[_Delivery]], give_up_at: float
    ) -> Sequence[IntakeResult]:
        def job(connection: Connection) -> list[IntakeResult]:
            deliveries = gather()
            self._last_size, self._last_at = len(deliveries), time.monotonic()
            self._serialize(connection, (each.meaning for each in deliveries))
            taken = self._take_fresh(connection, deliveries)
            self._lock_rows(
                connection, [one for at, one in enumerate(deliveries) if at not in taken]
            )
            for index, delivery in enumerate(deliveries):
                if index not in taken:
                    taken[index] = self._take_one(connection, delivery)
            return [taken[index] for index in range(len(deliveries))]

        return self._database.write(job, give_up_at=give_up_at)

    def _serialize(self, connection: Connection, meanings: Iterable[Meaning | None]) -> None:
        names = [name for each in meanings if each for name in handlers.names_of(each)]
        self._database.serialize_on(connection, *names)

    def _lock_rows(self, connection: Connection, deliveries: Sequence[_Delivery]) -> None:
        """Lock the rows of the deliveries' streams, and the rows that a start may supersede."""
        streams = {getattr(each.meaning, "rtms_stream_id", None) for each in deliveries} - {None}
        meetings = {
            each.meaning.meeting_uuid for each in deliveries if isinstance(each.meaning, Started)
        }
        if len(streams) > 1 or meetings:
            live = sa.and_(CONNECTS.c.meeting_uuid.in_(meetings), sa.text(LIVE_OF_A_USER))
            self._database.lock_rows(
                connection,
                sa.select(CONNECTS.c.id).where(
                    sa.or_(CONNECTS.c.rtms_stream_id.in_(streams), live)
                ),
            )

    def _take_fresh(
        self, connection: Connection, deliveries: Sequence[_Delivery]
    ) -> dict[int, IntakeResult]:
        """Insert the starts of unknown streams of unknown meetings, which most are, with a few bulk
        statements. The decision about such a start depends on no other row.

        Returns:
            Their outcomes, by their index in the deliveries.
        """
        starts = self._independent_starts(deliveries)
        if not starts:
            return {}
        streams = _KNOWN_STREAMS.execute(connection, [s.rtms_stream_id for s in starts.values()])
        meetings = _KNOWN_MEETINGS.execute(connection, [s.meeting_uuid for s in starts.values()])
        fresh = {
            at: start
            for at, start in starts.items()
            if start.rtms_stream_id not in streams and start.meeting_uuid not in meetings
        }
        if not fresh:
            return {}
        verdicts = {at: self._judge_fresh(start) for at, start in fresh.items()}
        new_rows = [
            new_row(self._config, start, verdicts[at], deliveries[at].arrival)
            for at, start in fresh.items()
        ]
        ids = _NEW_CONNECTS.execute_for_ids(connection, new_rows, by="rtms_stream_id")
        taken = {
            at: start_result(start, verdicts[at], ids[start.rtms_stream_id])
            for at, start in fresh.items()
        }
        _NEW_EVENTS.execute(
            connection, [deliveries[at].event(outcome) for at, outcome in taken.items()]
        )
        return taken

    def _independent_starts(self, deliveries: Sequence[_Delivery]) -> dict[int, Started]:
        """Return, by index, the starts whose stream and meeting no other delivery names."""
        if self._config.record_streams != "all":  # the streams of a meeting depend on each other
            return {}
        names = Counter(
            getattr(each.meaning, name, None)
            for each in deliveries
            for name in ("rtms_stream_id", "meeting_uuid")
        )
        return {
            at: each.meaning
            for at, each in enumerate(deliveries)
            if isinstance(each.meaning, Started)
            and names[each.meaning.rtms_stream_id] == names[each.meaning.meeting_uuid] == 1
        }

    def _judge_fresh(self, start: Started) -> Verdict:
        return judge(
            start,
            (),
            others=(),
            operator_was_wanted=False,
            last_stop_ts=None,
            record_streams=self._config.record_streams,
        )

    def _take_one(self, connection: Connection, delivery: _Delivery) -> IntakeResult:
        if delivery.rejected:
            record_once(connection, delivery.event(delivery.rejected))
            return delivery.rejected
        assert delivery.meaning is not None
        if _is_recorded(connection, delivery.dedupe_key):
            return _duplicate(delivery.meaning)
        taken = handlers.apply(connection, self._config, delivery.meaning, delivery.arrival)
        stored = record_once(connection, delivery.event(taken))
        return taken if stored else _duplicate(delivery.meaning)


def _parse(body: dict[str, Any], arrival: Arrival) -> tuple[Meaning | None, IntakeResult | None]:
    """Return a body's meaning, or why it is rejected."""
    try:
        return parse(body, arrival.sent_ts), None
    except MalformedEvent as error:
        return None, IntakeResult(outcome="rejected", detail=str(error), level="error")


def _meeting_of(meaning: Meaning | None) -> dict[str, str | None]:
    """Return the meeting of an event that is about no stream, or about one not yet known."""
    if isinstance(meaning, MeetingStarted | RequestStatus | ConcurrencyLimited):
        number = getattr(meaning, "meeting_id", None)
        return {"meeting_uuid": meaning.meeting_uuid, "meeting_id": number}
    return {"meeting_uuid": None, "meeting_id": None}


def _duplicate(meaning: Meaning) -> IntakeResult:
    return IntakeResult(
        outcome="duplicate",
        detail="this delivery is already recorded",
        level="debug",  # the metrics count it
        stream=getattr(meaning, "rtms_stream_id", None),
    )


def _is_recorded(connection: Connection, key: str) -> bool:
    return bool(
        connection.scalar(
            sa.select(sa.exists().where(EVENTS.c.source == Source.ZOOM, EVENTS.c.dedupe_key == key))
        )
    )
