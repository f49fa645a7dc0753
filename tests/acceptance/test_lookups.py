"""A name server that does not answer, on the real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Stream, ZoomSandbox, events
from tests.acceptance.conftest import EXTENSIONS
from tests.acceptance.test_together import on_one_engine
from tests.servers import Server, wait_for

CONNECTING = 32  # streams at once


@on_one_engine
@pytest.mark.environ(
    WEB_CONCURRENCY="1", CONNECT_THREADS=str(CONNECTING), RECALL_BASE_URL="http://recall.test"
)
def test_other_hosts_are_found_while_recall_is_looked_up(
    server: Server, zoom: ZoomSandbox, tmp_path: Path
) -> None:
    """A delivery may need a new connection to the database, which has a name, too."""
    slow = tmp_path / "slow"
    slow.touch()
    server.extend(EXTENSIONS, "slow_lookups", SLOW_LOOKUPS=str(slow))
    server.start()
    for _ in range(CONNECTING):
        assert zoom.deliver(events.started(Stream())).ok
    try:
        wait_for(slow.with_suffix(".found").exists, "the other host to be found", 10)
    finally:
        slow.unlink()
