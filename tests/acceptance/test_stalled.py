"""A commit that does not come back, on the real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import EXTENSIONS
from tests.acceptance.test_together import clients, start
from tests.servers import Server, wait_for

pytestmark = pytest.mark.environ(DISPATCHER="off", WEB_CONCURRENCY="1")

ZOOM_WAITS = 3.0  # seconds
STALLED = 6.0  # seconds
DELIVERIES = 60  # meanwhile

# A deferred trigger runs inside COMMIT. A disk or a standby that is waited for knows no
# lock_timeout, so it has none.
TRIGGER = """
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON webhook_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stall();
"""
STANDS_STILL = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'advisory'
"""


@contextmanager
def stalled_by_a_file(stall: Path) -> Iterator[Callable[[], bool]]:
    stall.touch()
    try:
        yield stall.with_suffix(".held").exists
    finally:
        stall.unlink()


@contextmanager
def stalled_by_a_lock(url: str) -> Iterator[Callable[[], bool]]:
    with psycopg.connect(url, autocommit=True) as stranger:
        stranger.execute(TRIGGER)
        stranger.execute("SELECT pg_advisory_lock(1)")
        yield lambda: bool(stranger.execute(STANDS_STILL).fetchall())


@pytest.fixture
def stalled(server: Server, tmp_path: Path) -> AbstractContextManager[Callable[[], bool]]:
    """Lets commits of deliveries stand still meanwhile, and tells whether one does: SQLite's in an
    extension of the server's, PostgreSQL's in its own process."""
    if server.environ["DATABASE_URL"].startswith("postgres"):
        return stalled_by_a_lock(server.environ["DATABASE_URL"])
    stall = tmp_path / "stall"
    server.extend(EXTENSIONS, "stalling_commit", COMMIT_STALL=str(stall))
    return stalled_by_a_file(stall)


def test_what_comes_while_a_commit_stands_still_gets_its_503_in_time(
    server: Server, stalled: AbstractContextManager[Callable[[], bool]]
) -> None:
    server.start()

    def deliver() -> tuple[int, float]:
        began = time.monotonic()
        with clients(server, 1) as (client,):
            return client.ask(start()), time.monotonic() - began

    with clients(server, 1) as (first,), ThreadPoolExecutor(DELIVERIES) as pool:
        assert first.ask(start()) == 200
        with stalled as stands_still:
            first.send(start())
            wait_for(stands_still, "the first commit to stand still")
            answers = []
            for _ in range(DELIVERIES):
                answers.append(pool.submit(deliver))
                time.sleep(STALLED / DELIVERIES)
            told = [each.result() for each in answers]
        assert {status for status, _ in told} == {503}
        assert max(took for _, took in told) < ZOOM_WAITS
        assert first.answer()[0] == 200
        assert deliver()[0] == 200
    assert len(server.meetings()) == 3
