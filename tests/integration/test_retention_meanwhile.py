"""What is old is deleted while others use the database: deliveries, lanes, another command."""

from __future__ import annotations

import fcntl
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bench.fill import fill
from models import CONNECTS, EVENTS, GATES, RECORDINGS, Base
from rtms import clock
from rtms.db.database import Database
from rtms.db.engines import sqlite_path
from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.archive import eligibility
from rtms.jobs.retention import job as retention_job
from rtms.jobs.retention.deletion import Old
from rtms.services import Services
from tests.integration.conftest import Rows
from tests.integration.test_retention import an_old_meeting, change, count, ids

DAY = timedelta(days=1)


def filled(services: Services, meetings: int) -> None:
    """Meetings that were over two days ago, or earlier."""
    url = services.database.url.set(drivername=services.database.url.get_backend_name())
    fill(url.render_as_string(hide_password=False), meetings, lambda _: None)


@contextmanager
def somebody_who_writes(database: Database) -> Iterator[None]:
    """Nobody else writes while this lasts."""
    if database.is_sqlite:
        with Path(f"{sqlite_path(database.url)}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        return
    with database.engine.connect() as stranger:
        stranger.execute(sa.text("LOCK TABLE meeting_direct_connects IN ACCESS EXCLUSIVE MODE"))
        yield


@pytest.mark.slow
def test_others_write_between_any_two_steps(services: Services) -> None:
    steps, at_once = 12, 100 if services.database.is_sqlite else 500
    filled(services, steps * at_once)
    other, over = Database(services.database.url), threading.Event()
    written = 0
    gate = {"name": "test", "closed_until": clock.now()}

    def write() -> None:
        nonlocal written
        other.write(lambda c: c.execute(GATES.insert().values(gate)))
        while not over.is_set():
            other.write(lambda c: c.execute(GATES.update().values(gate)))
            written += 1

    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        deleted = retention_job.prune_meetings(
            services.database, clock.now() - DAY, lambda _: seen.append(written)
        )
        over.set()
        writer.result()
    other.dispose()
    assert len(seen) == steps
    assert deleted == Old(meetings=steps * at_once, events=2 * steps * at_once)
    assert (count(services, CONNECTS), count(services, EVENTS)) == (0, 0)
    between = [after - before for before, after in itertools.pairwise(seen)]
    assert min(between) > 0, between


@pytest.mark.slow
def test_a_step_that_has_to_wait_too_long_is_tried_again(services: Services, rows: Rows) -> None:
    an_old_meeting(services)
    own = Database(services.database.url)
    with ThreadPoolExecutor(1) as pool:
        with somebody_who_writes(services.database):
            pruned = pool.submit(retention_job.prune_meetings, own, clock.now() - DAY)
            with pytest.raises(TimeoutError):
                pruned.result(timeout=2.5)  # longer than a write waits
        assert pruned.result(timeout=20).meetings == 1
    own.dispose()
    assert ids(rows) == []


@pytest.mark.slow
def test_who_gives_up_says_what_was_done_until_then(
    services: Services, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_old_meeting(services)
    monkeypatch.setattr(retention_job, "_TRIES", 1)
    own = Database(services.database.url)
    with (
        somebody_who_writes(services.database),
        pytest.raises(DatabaseUnavailable, match=r"0 meetings .* were deleted. Run the command"),
    ):
        retention_job.prune_meetings(own, clock.now() - DAY)
    own.dispose()
    assert len(ids(rows)) == 1


def test_a_recording_that_the_archive_takes_up_at_that_moment_stays(
    services: Services, rows: Rows
) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    taken, other = an_old_meeting(services), an_old_meeting(services)
    change(services, RECORDINGS, other, archive_attempts=1)
    with services.database.engine.connect() as archive, ThreadPoolExecutor(1) as pool:
        eligibility.backfill(archive, clock.now())
        pruned = pool.submit(retention_job.prune_meetings, services.database, clock.now() - DAY)
        with pytest.raises(TimeoutError):
            pruned.result(timeout=0.5)
        archive.commit()
        assert pruned.result(timeout=20) == Old(meetings=1, events=1)
    assert ids(rows) == [taken]
    assert count(services, RECORDINGS) == 1


def test_two_that_prune_at_once_both_do_their_part(services: Services) -> None:
    if services.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    filled(services, 600)
    with services.database.engine.connect() as other:
        oldest = sa.select(EVENTS.c.id).order_by(EVENTS.c.received_at).limit(500)
        other.execute(EVENTS.delete().where(EVENTS.c.id.in_(oldest)))
        assert retention_job.prune_events(services.database, clock.now() - DAY) == Old(events=700)
        other.commit()
    assert count(services, EVENTS) == 0


def test_who_deletes_a_row_finds_what_refers_to_it_by_an_index(services: Services) -> None:
    """Without one, each row that goes costs a look at every row of the other table."""
    with services.database.read() as connection:
        inspector = sa.inspect(connection)
        for table in Base.metadata.sorted_tables:
            indexes = {
                (index["column_names"][0], _condition(index))
                for index in inspector.get_indexes(table.name)
            }
            for key in table.foreign_keys:
                name = key.parent.name
                assert indexes & {(name, ""), (name, f"{name} IS NOT NULL")}, (table.name, name)


def _condition(index: Any) -> str:
    """What a row must be like to be in a partial index; nothing where every row is in it."""
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where", ""))).strip("()")
