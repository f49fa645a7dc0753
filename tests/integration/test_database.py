"""The store on both engines: migrations, durability settings, and trouble."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskCliRunner

from app import create_app
from config import ROOT, Config
from models import CONNECTS, RECORDINGS, SCHEMA_REVISION, Base
from rtms.configuration import database_url
from rtms.db import migrate
from rtms.db.database import Database
from rtms.db.engines import sqlite_path
from rtms.db.errors import DatabaseUnavailable
from rtms.services import Services
from sandbox import Stream, events
from tests.integration.conftest import Rows, Zoom


@pytest.fixture
def database(config: Config) -> Database:
    return Database(config.database_url)


@pytest.mark.unmigrated
def test_the_migrations_make_the_tables_that_the_models_describe(database: Database) -> None:
    assert database.revision() is None
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert database.revision() == SCHEMA_REVISION
    database.dispose()


@pytest.mark.unmigrated
@pytest.mark.parametrize("first", ["127.0.0.1:1", "%2Fnowhere"])
def test_of_several_hosts_the_one_that_answers_is_used(config: Config, first: str) -> None:
    if config.database_url.drivername == "sqlite":
        pytest.skip("SQLite has no hosts")
    name, folder = config.database_url.database, quote(str(config.database_url.query["host"]), "")
    url = database_url.parse(f"postgresql://postgres:@{first},{folder}/{name}", ROOT)
    several = Database(url)
    migrate.upgrade(several)
    assert several.revision() == SCHEMA_REVISION
    several.dispose()


def test_the_models_name_the_newest_migration() -> None:
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))
    assert ScriptDirectory.from_config(alembic).get_current_head() == SCHEMA_REVISION


@pytest.mark.slow
@pytest.mark.unmigrated
def test_processes_that_migrate_at_the_same_moment_migrate_once(
    config: Config, environ: dict[str, str]
) -> None:
    upgrades = [
        subprocess.Popen(
            [sys.executable, "-m", "flask", "db", "upgrade"],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60) for process in upgrades]
    assert [process.returncode for process in upgrades] == [0] * 4, said
    database = Database(config.database_url)
    assert database.unfit() is None
    database.dispose()


def test_a_database_that_is_newer_than_the_program_is_named(database: Database) -> None:
    migrate.upgrade(database)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert database.unfit() is None  # a rollout that has begun: this version goes on
    with pytest.raises(DatabaseUnavailable, match="revision 9999"):
        migrate.upgrade(database)
    database.dispose()


def test_a_migration_that_rebuilds_a_table_keeps_what_refers_to_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite rebuilds by dropping; a migration of the future stands in for all that do."""
    migrate.upgrade(database)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with database.engine.begin() as connection:
        connection.execute(
            CONNECTS.insert().values(
                rtms_stream_id="s", meeting_uuid="m", product="meeting", server_urls="wss://a",
                event_ts=1, state="done", recall_id="r", attempts=1, idempotency_key="k",
                connect_by=at, received_at=at,
            )
        )  # fmt: skip
        connection.execute(
            RECORDINGS.insert().values(
                meeting_direct_connect_id=1, recall_recording_id="x", status="done", media={}
            )
        )

    def rebuild(alembic: AlembicConfig, _revision: str) -> None:
        context = MigrationContext.configure(alembic.attributes["connection"])
        with Operations(context).batch_alter_table(
            "meeting_direct_connects", recreate="always" if database.is_sqlite else "auto"
        ) as batch:
            batch.add_column(sa.Column("note", sa.Text()))

    monkeypatch.setattr("alembic.command.upgrade", rebuild)
    migrate.upgrade(database)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(RECORDINGS)) == 1
    database.dispose()


def test_many_that_open_a_new_sqlite_file_at_the_same_moment_all_can(tmp_path: Path) -> None:
    def open_one(round_: int, barrier: threading.Barrier) -> str | None:
        database = Database(sa.make_url(f"sqlite:///{tmp_path}/{round_}.sqlite3"))
        barrier.wait()
        revision = database.revision()
        database.dispose()
        return revision

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(30):
            barrier = threading.Barrier(6)
            opened = [pool.submit(open_one, round_, barrier) for _ in range(6)]
            assert [one.result() for one in opened] == [None] * 6


def test_sqlite_is_durable(tmp_path: Path) -> None:
    database = Database(sa.make_url(f"sqlite:///{tmp_path}/a.sqlite3"))
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.dispose()


def test_an_embedded_database_migrates_itself_and_says_when_a_paas_will_wipe_it(
    tmp_path: Path, environ: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep" / "down" / "rtms.sqlite3"
    environ = {**environ, "DATABASE_URL": f"sqlite:///{path}", "DYNO": "web.1"}
    app = create_app(Config.from_environ(environ))
    assert app.test_client().get("/healthz").status_code == 200
    assert path.exists()
    assert "Heroku wipes its disks" in capfd.readouterr().err
    app.extensions["rtms"].database.dispose()


def test_an_sqlite_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for name in ("file/rtms.sqlite3", "file"):
        with pytest.raises(DatabaseUnavailable, match="file"):
            create_app(
                Config.from_environ(
                    {
                        "ZOOM_SECRET_TOKEN": "a",
                        "ZOOM_CLIENT_ID": "b",
                        "ZOOM_CLIENT_SECRET": "c",
                        "RECALL_API_KEY": "d",
                        "DATABASE_URL": f"sqlite:///{tmp_path}/{name}",
                    }
                )
            )


@pytest.mark.slow
def test_sqlite_locked_by_a_stranger_gets_zoom_a_503_in_time(
    zoom: Zoom, services: Services, rows: Rows, runner: FlaskCliRunner
) -> None:
    if not services.database.is_sqlite:
        pytest.skip("PostgreSQL has no such lock")
    stranger = sqlite3.connect(sqlite_path(services.database.url), isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    body = events.started(Stream())
    answer = zoom.deliver(body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert answer.json == {"error": "The delivery could not be recorded. Please deliver it again."}
    assert runner.invoke(args=["meetings", "list"]).exit_code == 0  # readers do not wait
    stranger.execute("ROLLBACK")
    stranger.close()
    assert zoom.deliver(body).status_code == 200
    assert rows.meeting().state == "pending"


def test_postgresql_locked_by_a_stranger_gets_zoom_a_503_in_time(
    zoom: Zoom, services: Services, rows: Rows
) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite has a lock of its own")
    body = events.started(Stream())
    with services.database.engine.connect() as stranger:
        stranger.execute(sa.text("LOCK TABLE webhook_events"))
        assert zoom.deliver(body).status_code == 503
    assert zoom.deliver(body).status_code == 200
    assert rows.meeting().state == "pending"


def test_postgresql_plans_for_the_tables_as_they_are(services: Services) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite makes no plan for later")
    with services.database.read() as connection:
        assert connection.exec_driver_sql("SHOW plan_cache_mode").scalar() == "force_custom_plan"


def test_postgresql_is_asked_by_the_connection_that_was_used_last(services: Services) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite has no process for each connection")
    pid = sa.text("SELECT pg_backend_pid()")
    several = [services.database.engine.connect() for _ in range(4)]
    pids = [each.scalar(pid) for each in several]
    for each in several:
        each.close()
    assert len(set(pids)) == 4
    assert [services.database.write(lambda c: c.scalar(pid)) for _ in range(5)] == [pids[-1]] * 5


@pytest.mark.slow
def test_a_stopped_process_that_holds_the_write_lock_gets_zoom_a_503(
    zoom: Zoom, services: Services, rows: Rows
) -> None:
    if not services.database.is_sqlite:
        pytest.skip("PostgreSQL needs no such lock")
    body = events.started(Stream())
    with Path(f"{sqlite_path(services.database.url)}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert zoom.deliver(body).status_code == 503
    assert zoom.deliver(body).status_code == 200


def test_trouble_with_a_row_is_told_without_quoting_it(services: Services) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        services.database.write(
            lambda c: c.execute(
                CONNECTS.insert().values(
                    rtms_stream_id="the-stream-of-somebody", meeting_uuid="m", product="meeting",
                    server_urls="wss://a", event_ts=1, state="skipped", attempts=1,
                    idempotency_key="the-key", connect_by=datetime.now(UTC),
                    received_at=datetime.now(UTC),
                )
            )
        )  # fmt: skip
    assert "the-key" not in str(caught.value)
    assert "the-stream" not in str(caught.value)


def test_readyz_says_what_is_missing(app: Flask, services: Services) -> None:
    client = app.test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json and answer.json["problems"] == [
        "The dispatcher does not run, so this process connects no streams."
    ]
    services.start_dispatcher()
    assert client.get("/readyz").status_code == 200
    with services.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json and "flask db upgrade" in answer.json["problems"][0]


@pytest.mark.environ(DISPATCHER="off")
def test_readyz_of_a_process_that_only_receives_wants_no_dispatcher(app: Flask) -> None:
    assert app.test_client().get("/readyz").status_code == 200
