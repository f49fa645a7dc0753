"""Keeping recordings: stored whole with a manifest, tried again, and by one process at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from flask import Flask
from fsspec.implementations.memory import MemoryFileSystem
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from config import ROOT, Config, ConfigError
from models import CONNECTS, NOTIFICATIONS, RECORDINGS
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.archive import job as archive_job
from rtms.jobs.archive.job import ArchiveJob
from rtms.jobs.archive.retry_policy import next_try
from rtms.jobs.archive.storage import NotStored, Store
from rtms.queue import paced
from rtms.recall.rate_limit import RETRIEVE_GATE
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom, wait_for

SECRET = "s3cr3t-of-the-bucket"


class Trouble(MemoryFileSystem):  # type: ignore[misc]
    """A place that fails, stores too little or takes its time, as a test wants."""

    protocol = "trouble"
    store: dict[str, Any] = {}  # noqa: RUF012 (fsspec shares it among instances)
    pseudo_dirs = [""]  # noqa: RUF012
    refuse: str | None = None
    short = False
    pause: threading.Event | None = None
    under_way = 0
    uploads: list[str] = []  # noqa: RUF012

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        cls = type(self)
        cls.uploads.append(rpath)
        cls.under_way += 1
        if cls.pause:
            cls.pause.wait(30)
        if cls.refuse:
            raise PermissionError(cls.refuse)
        content = Path(lpath).read_bytes()
        self.pipe_file(rpath, content[:-1] if cls.short else content)


fsspec.register_implementation("trouble", Trouble)


@pytest.fixture(autouse=True)
def place() -> Iterator[type[Trouble]]:
    """The troublesome place, empty and without trouble."""
    Trouble.store.clear()
    Trouble.uploads.clear()
    Trouble.refuse, Trouble.short, Trouble.pause, Trouble.under_way = None, False, None, 0
    yield Trouble
    if Trouble.pause:
        Trouble.pause.set()


@pytest.fixture
def environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {"ARCHIVE_URL": str(tmp_path / "archive"), **environ}


@pytest.fixture
def log(app: Flask) -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def done(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    """A meeting whose recording is done, with the dispatcher running."""
    services.start_dispatcher()
    return finish(recall, zoom, services, rows)


def finish(recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows) -> Stream:
    recall.set(processing_seconds=0.0)
    stream = Stream(meeting_id=98765432100)
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    services.database.write(lambda c: c.execute(CONNECTS.update().values(due_at=clock.now())))
    wait_for(lambda: rows.meeting().state == "done")
    return stream


def recording(services: Services) -> Any:
    with services.database.read() as connection:
        return connection.execute(sa.select(RECORDINGS)).one()


def archived(services: Services) -> Any:
    return wait_for(lambda: (row := recording(services)).archived_at and row)


def failed(services: Services, attempts: int = 1) -> Any:
    return wait_for(lambda: (row := recording(services)).archive_attempts >= attempts and row)


def change(services: Services, **values: Any) -> None:
    services.database.write(lambda c: c.execute(RECORDINGS.update().values(values)))


def media_requests(recall: RecallSandbox) -> list[Any]:
    return [entry for entry in recall.ledger if entry.path.startswith("/media/")]


def retrieves(recall: RecallSandbox) -> list[Any]:
    return [entry for entry in recall.ledger if "direct_connect/" in entry.path]


def test_a_done_recording_is_stored_with_a_manifest(
    log: list[MutableMapping[str, Any]],
    done: Stream,
    recall: RecallSandbox,
    services: Services,
    tmp_path: Path,
) -> None:
    row = archived(services)
    assert (row.archive_due_at, row.archive_attempts, row.archive_error) == (None, 1, None)
    assert (row.lease_owner, row.leased_until) == (None, None)
    folder = tmp_path / "archive" / f"{row.started_at:%Y}" / f"{row.started_at:%m}"
    files = {path.name: path for path in folder.iterdir()}
    (manifest,) = (name for name in files if name.endswith(".manifest.json"))
    about = json.loads(files[manifest].read_text())
    listed = {each["file"]: each["bytes"] for each in about["files"]}
    assert {*listed, manifest} == set(files)  # nothing partial is left
    assert all(files[name].stat().st_size == size > 0 for name, size in listed.items())
    (video,) = (name for name in listed if name.endswith("_video.mp4"))
    assert files[video].read_bytes() == (ROOT / "sandbox/media/meeting.mp4").read_bytes()
    assert about["recording_id"] == row.recall_recording_id
    assert about["meeting"]["meeting_id"] == "98765432100"
    assert about["meeting"]["meeting_uuid"] == done.meeting_uuid
    assert about["media"]["transcript"] == "done"
    wait_for(lambda: [line["event"] for line in log if "recording" in line] == ["archived"])
    for shown in (json.dumps(about), str(row), str(log)):
        assert "/media/" not in shown
        assert "signature=" not in shown.lower()
        assert services.config.recall_api_key not in shown


@pytest.mark.environ(ARCHIVE_URL="")
def test_without_an_archive_nothing_is_due(done: Stream, services: Services) -> None:
    row = recording(services)
    assert (row.status, row.archive_due_at, row.archived_at) == ("done", None, None)
    assert services.dispatcher
    with pytest.raises(KeyError):
        services.dispatcher.wake("archive")


@pytest.mark.environ(ARCHIVE_URL="")
def test_what_was_done_before_is_taken_up_unless_it_has_expired(
    done: Stream, services: Services, environ: dict[str, str], tmp_path: Path
) -> None:
    assert services.dispatcher
    services.dispatcher.drain(timeout=10)
    now = clock.now()
    change(services, expires_at=now - timedelta(seconds=1))
    url = str(tmp_path / "later")
    with_archive = Services.from_config(Config.from_environ({**environ, "ARCHIVE_URL": url}))
    archive = ArchiveJob(with_archive.database, with_archive.recall, with_archive.config)
    assert archive.next_due() is None
    change(services, expires_at=now + timedelta(days=1))
    dispatcher = with_archive.start_dispatcher()
    archived(services)
    assert list((tmp_path / "later").rglob("*_video.mp4"))
    dispatcher.drain(timeout=10)
    with_archive.recall.close()
    with_archive.database.dispose()


@pytest.mark.environ(ARCHIVE_URL="trouble://bucket/recordings")
def test_a_failing_upload_is_in_the_row_and_tried_again(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    place: type[Trouble],
    log: list[MutableMapping[str, Any]],
) -> None:
    place.refuse = "AccessDenied for //user:pass@host/bucket/a?sig=abc"
    services.start_dispatcher()
    finish(recall, zoom, services, rows)
    row = failed(services)
    assert row.archived_at is None
    assert "AccessDenied" in row.archive_error
    wait_for(lambda: any(line["event"] == "not archived yet" for line in log))
    seen = row.archive_error + str(log)
    assert "sig=abc" not in seen
    assert "pass" not in seen
    wait = row.archive_due_at - clock.now()
    assert timedelta(seconds=40) < wait <= timedelta(seconds=60)
    change(services, archive_due_at=clock.now())
    row = failed(services, 2)
    assert timedelta(seconds=100) < row.archive_due_at - clock.now() <= timedelta(seconds=120)
    place.refuse = None
    change(services, archive_due_at=clock.now())
    row = archived(services)
    assert (row.archive_attempts, row.archive_error, row.archive_due_at) == (3, None, None)
    assert [name for name in place.store if name.endswith("_video.mp4")]


@pytest.mark.environ(ARCHIVE_URL="trouble://bucket/recordings")
def test_what_was_stored_short_is_not_taken_for_done(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, place: type[Trouble]
) -> None:
    place.short = True
    services.start_dispatcher()
    finish(recall, zoom, services, rows)
    row = failed(services)
    assert row.archived_at is None
    assert "bytes after" in row.archive_error
    assert not [name for name in place.store if name.endswith(".manifest.json")]
    place.short = False
    change(services, archive_due_at=clock.now())
    archived(services)
    for name, file in place.store.items():
        if name.endswith("_video.mp4"):
            assert file.size == (ROOT / "sandbox/media/meeting.mp4").stat().st_size


@pytest.mark.environ(ARCHIVE_URL="memory://kept")
def test_what_is_there_already_is_not_stored_again(done: Stream, services: Services) -> None:
    archived(services)
    store = MemoryFileSystem.store
    before = {name: file.modified for name, file in store.items() if "manifest" not in name}
    change(services, archived_at=None, archive_due_at=clock.now())
    archived(services)
    assert before == {name: file.modified for name, file in store.items() if name in before}
    store.clear()


def test_a_link_that_expires_under_way_is_replaced(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    recall.video_bytes = 300_000
    expired = Fault(kind="status", status=403, path="media", method="GET", times=1, after=1)
    recall.add_fault(Fault(kind="truncated", path="media", method="GET", cut=100_000))
    recall.add_fault(expired)
    services.start_dispatcher()
    finish(recall, zoom, services, rows)
    row = archived(services)
    assert (row.archive_attempts, row.archive_error) == (1, None)
    (video,) = (tmp_path / "archive").rglob("*_video.mp4")
    assert video.stat().st_size == 300_000
    assert 403 in [entry.status for entry in media_requests(recall)]


@pytest.mark.slow
@pytest.mark.environ(RECALL_RETRIEVES_PER_MINUTE="62")
def test_its_retrieves_keep_the_common_pace(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    finish(recall, zoom, services, rows)
    archived(services)
    next_turn = clock.now() + timedelta(seconds=1.5)

    def make_due(connection: Connection) -> None:
        paced.close(connection, RETRIEVE_GATE, until=next_turn)
        due = {"archived_at": None, "archived_media": None, "archive_due_at": clock.now()}
        connection.execute(RECORDINGS.update().values(due))

    services.database.write(make_due)
    archived(services)
    with services.database.read() as connection:
        opens_at = paced.closed_until(connection, RETRIEVE_GATE)
    assert retrieves(recall)[-1].at >= next_turn.timestamp()
    assert opens_at
    assert opens_at >= next_turn + timedelta(seconds=1)


def test_what_recall_no_longer_has_is_given_up(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows
) -> None:
    services.start_dispatcher()
    stream = finish(recall, zoom, services, rows)
    archived(services)
    recall.end_stream(stream.rtms_stream_id, ending="deleted")
    change(services, archived_at=None, archive_attempts=0, archive_due_at=clock.now())
    row = failed(services)
    assert (row.archive_due_at, row.archived_at) == (None, None)
    assert "deleted" in row.archive_error


@pytest.mark.slow
@pytest.mark.environ(ARCHIVE_URL="trouble://bucket/recordings")
def test_a_long_upload_keeps_its_lease_and_two_processes_store_once(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    place: type[Trouble],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive_job, "_LEASE_SECONDS", 1.0)
    place.pause = threading.Event()
    other = Services.from_config(services.config)
    services.start_dispatcher()
    dispatcher = other.start_dispatcher()
    finish(recall, zoom, services, rows)
    wait_for(lambda: place.under_way)
    first = recording(services)
    wait_for(lambda: clock.now() > first.leased_until + timedelta(seconds=1))
    row = recording(services)
    assert row.lease_owner == first.lease_owner
    assert row.leased_until > clock.now()
    assert place.under_way == 1
    place.pause.set()
    archived(services)
    assert len(place.uploads) == len(set(place.uploads))
    dispatcher.drain(timeout=10)
    other.recall.close()
    other.database.dispose()


@pytest.mark.environ(ARCHIVE_URL="trouble://bucket/recordings")
def test_at_a_shutdown_an_upload_is_handed_back(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, place: type[Trouble]
) -> None:
    place.pause = threading.Event()
    dispatcher = services.start_dispatcher()
    finish(recall, zoom, services, rows)
    wait_for(lambda: place.under_way)
    assert not dispatcher.drain(timeout=0.1)
    row = recording(services)
    assert row.leased_until <= clock.now()
    assert row.archive_due_at is not None
    place.pause.set()


CHILD = """
import sys
from config import Config
from rtms.jobs.archive import job as archive_job
from rtms.jobs.archive.job import ArchiveJob
from rtms.services import Services

services = Services.from_config(Config.from_environ(dict(line.split("=", 1) for line in sys.stdin)))
archive = ArchiveJob(services.database, services.recall, services.config)
archive.next_due()
(job,) = archive.lease(1)
print("leased", flush=True)
archive.work(job)
"""


@pytest.mark.environ(RECALL_RETRIEVES_PER_MINUTE="100000")
def test_what_a_killed_process_was_storing_is_taken_over(
    recall: RecallSandbox,
    zoom: Zoom,
    services: Services,
    rows: Rows,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    recall.video_bytes = 200_000
    recall.add_fault(Fault(kind="drip", path="media", method="GET", seconds=0.05))
    dispatcher = services.start_dispatcher()
    # The meeting is done in a process that knows of no archive, so that only the child stores.
    dispatcher._runners["archive"].begin_drain()
    finish(recall, zoom, services, rows)
    dispatcher.drain(timeout=10)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert child.stdin
    assert child.stdout
    child.stdin.writelines(f"{name}={value}\n" for name, value in environ.items())
    child.stdin.close()
    assert child.stdout.readline() == "leased\n"
    wait_for(lambda: media_requests(recall))
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=10)
    child.stdout.close()
    row = recording(services)
    assert row.lease_owner
    assert row.leased_until > clock.now() + timedelta(seconds=30)
    archive = ArchiveJob(services.database, services.recall, services.config)
    assert archive.lease(1) == []
    change(services, leased_until=clock.now())
    (job,) = archive.lease(1)
    recall.clear_faults()
    archive.work(job)
    assert recording(services).archived_at
    (video,) = (tmp_path / "archive").rglob("*_video.mp4")
    assert video.stat().st_size == 200_000
    assert not list((tmp_path / "archive").rglob(".*"))


def test_a_person_who_refreshes_puts_back_what_was_given_up(
    done: Stream, recall: RecallSandbox, services: Services, rows: Rows, app: Any
) -> None:
    archived(services)
    change(services, archived_at=None, archive_attempts=36, archive_error="given up")
    services.database.write(
        lambda c: c.execute(CONNECTS.update().values(due_at=clock.now(), state="ended"))
    )
    wait_for(lambda: rows.meeting().state == "done")
    assert recording(services).archive_attempts == 36  # a process does not
    result = app.test_cli_runner().invoke(args=["meetings", "refresh", "1"])
    assert result.exit_code == 0, result.output
    row = archived(services)
    assert (row.archive_attempts, row.archive_error) == (1, None)


# ---- the waits


def test_waits_grow_and_end_after_a_week_or_when_the_media_expire() -> None:
    start = now = datetime(2026, 11, 22, tzinfo=UTC)
    waits: list[float] = []
    while due := next_try(attempts=len(waits) + 1, expires_at=None, now=now):
        waits.append((due - now).total_seconds())
        now = due
    assert waits[:3] == [60, 120, 240]
    assert waits == sorted(waits)
    assert timedelta(days=6) < now - start < timedelta(days=8)
    expires_at = start + timedelta(hours=2)
    now, tries = start, 0
    while due := next_try(attempts=tries + 1, expires_at=expires_at, now=now):
        now, tries = due, tries + 1
    assert expires_at - timedelta(minutes=5) <= now < expires_at


# ---- the configuration, and the place


@on_one_engine
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:" + SECRET + "@bucket/a", "pip install s3fs"),
        ("gs://bucket", "pip install gcsfs"),
        ("az://container", "pip install adlfs"),
        ("nonsense://" + SECRET, "must be a folder"),
        ("memory://", "must be a folder"),
    ],
)
def test_a_place_without_a_driver_is_a_configuration_error(
    environ: dict[str, str], url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as caught:
        Config.from_environ({**environ, "ARCHIVE_URL": url})
    assert f"ARCHIVE_URL {'needs' if 'pip' in said else 'must'}" in str(caught.value)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_credentials_in_the_url_are_not_shown(
    environ: dict[str, str], place: type[Trouble], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"trouble://user-1:{SECRET}@bucket/a"
    assert SECRET not in repr(Config.from_environ({**environ, "ARCHIVE_URL": url}))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    place.refuse = f"no: {url} user-1 {SECRET} from-the-environment"
    with pytest.raises(NotStored) as caught:
        Store(url).put("2026/11", "a", lambda path: path.write_bytes(b"x"))
    assert "PermissionError" in str(caught.value)
    for secret in (SECRET, "user-1", "from-the-environment"):
        assert secret not in str(caught.value)


def test_a_folder_may_be_a_file_url_and_says_what_the_disk_says(tmp_path: Path) -> None:
    place = Store(f"file://{tmp_path}/kept")
    assert place.size("2026/11", "a") is None
    assert place.put("2026/11", "a", lambda path: path.write_bytes(b"abc")) == 3
    assert (tmp_path / "kept/2026/11/a").read_bytes() == b"abc"
    (tmp_path / "file").write_text("")
    with pytest.raises(NotStored, match="a cannot be stored: "):
        Store(str(tmp_path / "file")).put("2026", "a", lambda path: path.write_bytes(b"abc"))


# ---- the migration


@pytest.mark.unmigrated
def test_the_migration_keeps_what_is_there_both_ways(config: Config) -> None:
    database = Database(config.database_url)
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))

    def migrate(how: Callable[..., None], to: str) -> None:
        def job(connection: Connection) -> None:
            alembic.attributes["connection"] = connection
            how(alembic, to)

        database.write(job)

    def there() -> tuple[int, ...]:
        tables = (CONNECTS, RECORDINGS, NOTIFICATIONS)
        with database.read() as connection:
            return tuple(
                connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in tables
            )

    def fill(connection: Connection) -> None:
        now = clock.now()
        connection.execute(
            CONNECTS.insert().values(
                rtms_stream_id="s",
                meeting_uuid="m",
                product="meeting",
                server_urls="",
                event_ts=1,
                state="pending",
                connect_by=now,
                idempotency_key="k",
                received_at=now,
            )
        )
        connection.exec_driver_sql(
            "INSERT INTO recordings (meeting_direct_connect_id, recall_recording_id, status, media)"
            " VALUES (1, 'r', 'done', '{}')"
        )
        connection.execute(
            NOTIFICATIONS.insert().values(
                event="recording_done",
                listener="signals",
                meeting_direct_connect_id=1,
                recording_id=1,
                created_at=now,
            )
        )

    migrate(command.upgrade, "0002")
    database.write(fill)
    for _ in range(2):
        migrate(command.upgrade, "0003")
        assert there() == (1, 1, 1)
        with database.read() as connection:
            columns = ("archive_attempts", "archive_due_at", "lease_owner")
            row = connection.execute(sa.select(*(RECORDINGS.c[name] for name in columns))).one()
        assert (row.archive_attempts, row.archive_due_at, row.lease_owner) == (0, None, None)
        for half in ({"lease_owner": "me"}, {"leased_until": clock.now()}):
            with pytest.raises(Exception, match=r"lease_whole|CHECK"):
                database.write(
                    lambda c, half=half: c.execute(RECORDINGS.update().values(half))  # type: ignore[misc]
                )
        migrate(command.downgrade, "0002")
        assert there() == (1, 1, 1)
        with database.engine.connect() as connection:
            left = {each["name"] for each in sa.inspect(connection).get_columns("recordings")}
        assert not {"lease_owner", "archive_due_at"} & left
    database.dispose()


@pytest.mark.slow
@pytest.mark.environ(RECALL_TIMEOUT_SECONDS="2")
def test_a_connect_does_not_wait_behind_an_upload(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, tmp_path: Path
) -> None:
    recall.add_fault(Fault(kind="hang", path="media", method="GET", times=None))
    services.start_dispatcher()
    finish(recall, zoom, services, rows)
    wait_for(lambda: media_requests(recall))
    began = time.monotonic()
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meetings()[1].state == "connected")
    assert time.monotonic() - began < 5
    recall.clear_faults()
    assert services.dispatcher
    services.dispatcher.drain(timeout=0)
