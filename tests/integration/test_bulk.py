"""Statements about many rows, on both engines."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from models import CONNECTS, EVENTS
from rtms import clock
from rtms.db.bulk import BulkFind, BulkInsert
from rtms.db.errors import RowRefused
from rtms.intake import columns
from rtms.intake.results import Arrival
from rtms.intake.start_rules import Verdict
from rtms.services import Services
from rtms.zoom.events import parse
from rtms.zoom.meanings import Started
from sandbox import Stream, events

INSERT = BulkInsert(CONNECTS, columns.NEW_ROW_COLUMNS)
EVENT_COLUMNS = [each.name for each in EVENTS.c if each.name != "id"]
INSERT_EVENTS = BulkInsert(EVENTS, EVENT_COLUMNS)
FIND = BulkFind(EVENTS.c.rtms_stream_id, CONNECTS.c.rtms_stream_id)


def new_row(services: Services) -> dict[str, Any]:
    body = events.started(Stream())
    start = parse(body, body["event_ts"])
    assert isinstance(start, Started)
    arrival = Arrival(
        received_at=clock.now(), sent_at=None, tracking_id="t'); DROP TABLE gates; --"
    )
    return columns.new_row(services.config, start, Verdict(detail="", new_row=True), arrival)


@pytest.mark.parametrize("count", [1, 2, 63])
def test_each_row_is_written_as_it_is_and_has_the_id_it_is_said_to_have(
    services: Services, count: int
) -> None:
    before, rows = [new_row(services) for _ in range(3)], [new_row(services) for _ in range(count)]
    services.database.write(lambda c: INSERT.execute(c, before))
    ids = services.database.write(lambda c: INSERT.execute_for_ids(c, rows, by="rtms_stream_id"))
    assert len(ids) == count
    with services.database.read() as connection:
        for row in rows:
            stored = connection.execute(
                sa.select(CONNECTS).where(CONNECTS.c.id == ids[row["rtms_stream_id"]])
            ).one()
            assert {name: getattr(stored, name) for name in columns.NEW_ROW_COLUMNS} == row


def test_whatever_a_body_holds_is_kept(services: Services) -> None:
    body = {"event": "x", "payload": {"a": "\ud800", "b": "\x00", "c": "\"'\\%s", "d": 1e300}}
    row = dict.fromkeys(EVENT_COLUMNS) | {
        "source": "zoom", "event": "x", "dedupe_key": "1", "payload": body,
        "received_at": clock.now(), "outcome": "unknown",
    }  # fmt: skip
    services.database.write(lambda c: INSERT_EVENTS.execute(c, [row]))
    with services.database.read() as connection:
        assert connection.scalar(sa.select(EVENTS.c.payload)) == body


def test_what_is_too_long_is_refused_and_not_cut_off(services: Services) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite keeps texts of any length")
    row = new_row(services) | {"product": "x" * 17}
    with pytest.raises(RowRefused):
        services.database.write(lambda c: INSERT.execute(c, [row]))


def test_one_row_that_is_refused_keeps_all_out(services: Services) -> None:
    row = new_row(services)
    with pytest.raises(RowRefused):
        services.database.write(lambda c: INSERT.execute(c, [new_row(services), row, row]))
    with services.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(CONNECTS)) == 0


def test_what_any_of_the_columns_holds_is_found(services: Services) -> None:
    row = new_row(services)
    services.database.write(lambda c: INSERT.execute(c, [row]))
    services.intake.take(events.stopped(stopped := Stream()))
    known = {row["rtms_stream_id"], stopped.rtms_stream_id}
    with services.database.read() as connection:
        assert FIND.execute(connection, [*known, "unheard of", "%", "'"]) == known


def test_known_meetings_are_found_without_reading_all_that_are_live(services: Services) -> None:
    rows = [new_row(services) for _ in range(500)]
    services.database.write(lambda c: INSERT.execute(c, rows))
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "FROM webhook_events" in statement and "meeting_uuid" in statement:
            asked.append((statement, values))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        tickets = [services.intake.begin(events.started(Stream()), None) for _ in range(32)]
        assert {ticket.result().outcome for ticket in tickets} == {"accepted"}
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    ((statement, values),) = asked
    explain = "EXPLAIN QUERY PLAN" if services.database.is_sqlite else "EXPLAIN"
    with services.database.read() as connection:
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", values).all())
    assert "uq_live_operator" in plan
    assert not any(name in plan for name in ("ix_state", "ix_pending", "uq_live_stream"))
