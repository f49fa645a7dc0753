"""Record Zoom's deliveries and apply them to the tables, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, LIVE_OF_A_USER, Source
from rtms import clock
from rtms.db.database import Database
from rtms.db.engines import PATIENCE
from rtms.db.group_commit import GroupCommit, Ticket
from rtms.intake import handlers
from rtms.intake.event_log import is_recorded, record_once
from rtms.intake.fresh_starts import take_fresh_starts
from rtms.intake.parsed_delivery import Delivery
from rtms.intake.results import Arrival, IntakeResult
from rtms.stream_requests import lookups
from rtms.zoom.meanings import Meaning, Started

_CROWD = 4  # deliveries in one group
_CROWD_SECONDS = 0.05  # how long intake counts as crowded after such a group


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
    ) -> Ticket[Any, IntakeResult]:
        """Enqueue a verified delivery. It is on disk once the ticket's `result` returns.

        Args:
            sent_at: when Zoom sent it, by Zoom's clock (`x-zm-request-timestamp`); by default now.
        """
        arrival = Arrival(received_at=clock.now(), sent_at=sent_at, tracking_id=tracking_id)
        return self._group.enqueue(Delivery.of(body, arrival))

    def replay(self, event_id: int) -> IntakeResult | None:
        """Apply a stored Zoom event again, as if it had just arrived.

        Returns:
            The outcome; None where no such event is stored.
        """

        def job(connection: Connection) -> IntakeResult | None:
            stored = connection.execute(
                sa.select(EVENTS).where(EVENTS.c.id == event_id, EVENTS.c.source == Source.ZOOM)
            ).one_or_none()
            if stored is None:
                return None
            if not stored.payload:
                return IntakeResult(
                    outcome="rejected",
                    detail="its content was erased, because its user removed the app",
                )
            delivery = Delivery.of(stored.payload, Arrival.of_event(stored))
            self._serialize(connection, [delivery])
            result = self._apply(connection, delivery, delivery.arrival.moved_to(clock.now()))
            if result.outcome != "duplicate":  # a duplicate leaves the first outcome on record
                connection.execute(
                    EVENTS.update().where(EVENTS.c.id == event_id).values(outcome=result.recorded)
                )
            return result

        return self._database.write(job)

    def _commit(
        self, gather: Callable[[], Sequence[Delivery]], give_up_at: float
    ) -> Sequence[IntakeResult]:
        def job(connection: Connection) -> list[IntakeResult]:
            deliveries = gather()
            self._last_size, self._last_at = len(deliveries), time.monotonic()
            self._serialize(connection, deliveries)
            results = take_fresh_starts(connection, self._config, deliveries)
            self._lock_rows(
                connection, [one for at, one in enumerate(deliveries) if at not in results]
            )
            for index, delivery in enumerate(deliveries):
                if index not in results:
                    results[index] = self._take_one(connection, delivery)
            return [results[index] for index in range(len(deliveries))]

        return self._database.write(job, give_up_at=give_up_at)

    def _serialize(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        meanings = (each.meaning for each in deliveries if each.meaning)
        names = [name for meaning in meanings for name in handlers.names_of(meaning)]
        self._database.serialize_on(connection, *names)

    def _lock_rows(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        """Lock the rows of the deliveries' streams, and the rows that a start may supersede or
        continue."""
        streams = {getattr(each.meaning, "rtms_stream_id", None) for each in deliveries} - {None}
        meetings = {
            each.meaning.meeting_uuid for each in deliveries if isinstance(each.meaning, Started)
        }
        if len(streams) > 1 or meetings:
            live = sa.and_(CONNECTS.c.meeting_uuid.in_(meetings), sa.text(LIVE_OF_A_USER))
            touched = [CONNECTS.c.rtms_stream_id.in_(streams), live]
            if meetings and self._config.zoom_s2s_client_id:
                touched.append(CONNECTS.c.id.in_(lookups.lost_rows_of(meetings)))
            self._database.lock_rows(connection, sa.select(CONNECTS.c.id).where(sa.or_(*touched)))

    def _take_one(self, connection: Connection, delivery: Delivery) -> IntakeResult:
        if delivery.meaning and is_recorded(connection, delivery.dedupe_key):
            return _duplicate(delivery.meaning)
        result = self._apply(connection, delivery, delivery.arrival)
        stored = record_once(connection, delivery.event(result))
        return result if stored or not delivery.meaning else _duplicate(delivery.meaning)

    def _apply(self, connection: Connection, delivery: Delivery, arrival: Arrival) -> IntakeResult:
        if delivery.rejected:
            return delivery.rejected
        assert delivery.meaning is not None
        return handlers.apply(connection, self._config, delivery.meaning, arrival)


def _duplicate(meaning: Meaning) -> IntakeResult:
    return IntakeResult(
        outcome="duplicate",
        detail="this delivery is already recorded",
        level="debug",  # the metrics count it
        stream=getattr(meaning, "rtms_stream_id", None),
    )
