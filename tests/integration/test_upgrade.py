"""A database of the first released schema, with data in it, is brought to this version's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig

from app import create_app
from config import ROOT, Config
from models import CONNECTS, SCHEMA_REVISION, Base
from rtms import migrate
from rtms.database import Database
from rtms.services import services
from sandbox import Stream, events
from tests.integration.conftest import Rows, Zoom

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
STATES: tuple[tuple[str, str | None], ...] = (
    ("done", None),
    ("ended", None),
    ("failed", "window_expired"),
    ("skipped", "stopped_first"),
    ("connected", None),
    ("pending", None),
)


def _upgrade_to(database: Database, revision: str) -> None:
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))
    with database.engine.connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, revision)
        connection.commit()


@pytest.fixture
def first(config: Config) -> Iterator[Database]:
    """A database as the first release left it: a row in each state, and their deliveries."""
    database = Database(config.database_url, for_migration=True)
    _upgrade_to(database, "0001")
    tables = sa.MetaData()
    tables.reflect(database.engine)
    streams = [Stream() for _ in STATES]
    with database.engine.begin() as connection:
        for (state, reason), stream in zip(STATES, streams, strict=True):
            connected = state in ("done", "ended", "connected")
            connection.execute(
                tables.tables["meeting_direct_connects"]
                .insert()
                .values(
                    rtms_stream_id=stream.rtms_stream_id,
                    meeting_uuid=stream.meeting_uuid,
                    meeting_id=str(stream.meeting_id),
                    product="meeting",
                    server_urls=stream.server_urls,
                    event_ts=1_772_357_400_000,
                    state=state,
                    reason=reason,
                    recall_id=f"recall-{state}" if connected else None,
                    attempts=1,
                    due_at=AT if state == "pending" else None,
                    connect_by=AT,
                    idempotency_key=f"key-{state}",
                    received_at=AT,
                )
            )
            body = events.started(stream, event_ts=1_772_357_400_000)
            connection.execute(
                tables.tables["webhook_events"]
                .insert()
                .values(
                    source="zoom",
                    event=body["event"],
                    dedupe_key=f"{body['event']}:{stream.rtms_stream_id}:1772357400000",
                    rtms_stream_id=stream.rtms_stream_id,
                    payload=json.loads(json.dumps(body)),
                    received_at=AT,
                    outcome="accepted: to be connected",
                )
            )
    yield database
    database.dispose()


def _rows(database: Database) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM meeting_direct_connects ORDER BY id"))
        return [dict(row._mapping) for row in found]


def test_every_row_of_the_first_schema_is_there_after_an_upgrade(
    first: Database, config: Config
) -> None:
    before = _rows(first)
    assert [row["state"] for row in before] == [state for state, _ in STATES]
    first.dispose()
    migrate.upgrade(first)
    assert first.revision() == SCHEMA_REVISION
    after = _rows(first)
    for old, new in zip(before, after, strict=True):
        assert {name: new[name] for name in old if name in new} == {
            name: value for name, value in old.items() if name in new
        }
    with first.engine.connect() as connection:
        names = {index["name"] for index in sa.inspect(connection).get_indexes(CONNECTS.name)}
        tables = set(sa.inspect(connection).get_table_names())
    assert {index.name for index in CONNECTS.indexes} <= names
    assert set(Base.metadata.tables) <= tables


def test_an_upgraded_database_takes_deliveries_and_gives_up_what_is_long_over(
    first: Database, config: Config
) -> None:
    first.dispose()
    migrate.upgrade(first)
    app = create_app(config)
    its = services(app)
    zoom, rows = Zoom(app, config.zoom_secret_tokens[0]), Rows(its.database)
    assert zoom.deliver(events.started(Stream())).status_code == 200
    assert zoom.deliver(events.stopped(_stream_of(rows, "connected"))).status_code == 200
    assert [row.state for row in rows.meetings()] == [
        "done",
        "ended",
        "failed",
        "skipped",
        "ended",
        "pending",
        "pending",
    ]
    its.database.dispose()


def _stream_of(rows: Rows, state: str) -> Stream:
    (row,) = (row for row in rows.meetings() if row.state == state)
    return Stream(rtms_stream_id=row.rtms_stream_id, meeting_uuid=row.meeting_uuid)
