"""A database of the first released schema, with data in it, is brought to this version's."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig

from app import create_app
from config import ROOT, Config
from models import CONNECTS, SCHEMA_REVISION, Base
from rtms.db import migrate
from rtms.db.database import Database
from rtms.services import get_services
from sandbox import Stream, events
from tests.integration.conftest import Rows, Zoom

pytestmark = pytest.mark.unmigrated

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
    services = get_services(app)
    zoom, rows = Zoom(app, config.zoom_secret_tokens[0]), Rows(services.database)
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
    services.database.dispose()


_WRITE = """INSERT INTO meeting_direct_connects (rtms_stream_id, meeting_uuid, product, server_urls,
event_ts, state, attempts, due_at, connect_by, idempotency_key, received_at)
VALUES (%s, 'm', 'meeting', 'wss://a', 1, 'pending', 0, now(), now(), 'k', now())"""


def test_deliveries_are_taken_in_while_an_upgrade_waits_for_a_long_reader(
    first: Database, environ: dict[str, str]
) -> None:
    if first.is_sqlite:
        pytest.skip("SQLite upgrades in one transaction of its own, before the server starts")
    _upgrade_to(first, "0004")
    first.dispose()
    url = environ["DATABASE_URL"]
    with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True) as writer:
        reader.execute("SELECT count(*) FROM meeting_direct_connects")
        writer.execute("SET lock_timeout = '2s'")
        upgrade = _start_upgrade(environ)
        deadline, longest = time.monotonic() + 5, 0.0  # seconds
        for number in itertools.count():
            began = time.monotonic()
            writer.execute(_WRITE, (f"stream-{number}",))
            longest = max(longest, time.monotonic() - began)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)  # as they come
        assert upgrade.poll() is None
        assert first.revision() == "0004"
        made = _indexes(first)
        reader.rollback()
        said, _ = upgrade.communicate(timeout=60)
    assert upgrade.returncode == 0, said
    assert first.revision() == SCHEMA_REVISION
    assert longest < 1.5
    assert "the migration waits for a transaction" in said
    # What was made before was not made again.
    assert made and made.items() <= _indexes(first).items()
    # Those of the tables that have rows; there is no notification.
    assert said.count("creating an index") == 10


def test_of_a_users_live_streams_of_a_meeting_an_upgrade_leaves_the_latest_live(
    first: Database,
) -> None:
    _upgrade_to(first, "0005")
    live = "state = 'connected', recall_id = 'r-' || id, operator_id = 'op', meeting_uuid = 'm'"
    with first.engine.begin() as connection:
        connection.execute(
            sa.text(
                f"UPDATE meeting_direct_connects SET {live}, event_ts = 100 - id, due_at = :at, "
                "reason = NULL WHERE id IN (1, 2, 3)"
            ),
            {"at": AT},
        )
    first.dispose()
    migrate.upgrade(first)
    rows = {row["id"]: row for row in _rows(first)}
    assert [rows[id]["state"] for id in (1, 2, 3)] == ["connected", "ended", "ended"]
    assert [rows[id]["superseded_by"] for id in (1, 2, 3)] == [None, 1, 1]
    assert all(rows[id]["due_at"] for id in (1, 2, 3))  # what they recorded is followed


def test_no_id_is_given_out_twice_after_an_upgrade_rebuilt_the_table(
    first: Database, config: Config
) -> None:
    with first.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM meeting_direct_connects WHERE id = 6"))
    first.dispose()
    migrate.upgrade(first)
    app = create_app(config)
    zoom, rows = Zoom(app, config.zoom_secret_tokens[0]), Rows(get_services(app).database)
    zoom.deliver(events.started(Stream()))
    assert rows.meetings()[-1].id == 7
    get_services(app).database.dispose()


def test_an_upgrade_can_be_taken_back(first: Database) -> None:
    first.dispose()
    migrate.upgrade(first)
    before = _rows(first)
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))
    with first.engine.connect() as connection:
        alembic.attributes["connection"] = connection
        command.downgrade(alembic, "0005")
        connection.commit()
    assert first.revision() == "0005"
    assert [row["id"] for row in _rows(first)] == [row["id"] for row in before]
    migrate.upgrade(first)
    assert first.revision() == SCHEMA_REVISION


def test_an_index_whose_making_broke_off_is_made_anew(
    first: Database, environ: dict[str, str]
) -> None:
    if first.is_sqlite:
        pytest.skip("SQLite makes all or none")
    _upgrade_to(first, "0004")
    with (
        psycopg.connect(environ["DATABASE_URL"], autocommit=True) as server,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        server.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY ix_meeting_id ON meeting_direct_connects(product)"
        )
    first.dispose()
    migrate.upgrade(first)
    with first.engine.connect() as connection:
        found = sa.inspect(connection).get_indexes(CONNECTS.name)
        (index,) = (index for index in found if index["name"] == "ix_meeting_id")
        assert index["column_names"] == ["meeting_id", "id"]
        assert connection.scalar(sa.text("SELECT bool_and(indisvalid) FROM pg_index"))


def test_an_upgrade_that_broke_off_before_its_index_can_be_repeated(first: Database) -> None:
    """On PostgreSQL, the table is committed before the index is made."""
    _upgrade_to(first, "0008")
    with first.engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX ix_restarted_as"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0007'"))
    first.dispose()
    migrate.upgrade(first)
    assert first.revision() == SCHEMA_REVISION
    with first.engine.connect() as connection:
        found = sa.inspect(connection).get_indexes(CONNECTS.name)
    assert "ix_restarted_as" in {index["name"] for index in found}


def _start_upgrade(environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "db", "upgrade"],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _indexes(database: Database) -> dict[str, int]:
    """Each index that 0005 makes first, and the number that PostgreSQL knows it by."""
    with database.engine.connect() as connection:
        found = connection.execute(
            sa.text(
                "SELECT relname, CAST(pg_class.oid AS bigint) AS oid FROM pg_index "
                "JOIN pg_class ON pg_class.oid = indexrelid WHERE relname IN "
                "('ix_meeting_id', 'ix_operator_id', 'ix_notifications_recording')"
            )
        )
        return {row.relname: row.oid for row in found}


def _stream_of(rows: Rows, state: str) -> Stream:
    (row,) = (row for row in rows.meetings() if row.state == state)
    return Stream(rtms_stream_id=row.rtms_stream_id, meeting_uuid=row.meeting_uuid)
