"""A proxy that can never work, and what becomes of meetings, notifications and the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskCliRunner

from models import NOTIFICATIONS
from rtms import clock
from rtms.services import Services
from sandbox import Stream, events
from tests.integration.conftest import Rows, Zoom, wait_for

USELESS = "socks5://user:hunter2@127.0.0.1:1080"
NOTIFIED = {
    "NOTIFY_URL": "https://hooks.example/token-of-the-hook",
    "NOTIFY_SECRET": "whsec_dGhlIHNlY3JldCBvZiB0aGUgdXNlcidzIG93biBob29r",
}

pytestmark = pytest.mark.environ(RECALL_BASE_URL="https://us-east-1.recall.ai", **NOTIFIED)


@pytest.fixture(autouse=True)
def proxy() -> Iterator[None]:
    """Before the application is made: its client for Recall looks at the environment once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALL_PROXY", USELESS)
        patch.delenv("NO_PROXY", raising=False)
        patch.delenv("no_proxy", raising=False)
        yield


def test_a_meeting_fails_at_once_and_says_which_variable_it_was(
    services: Services, zoom: Zoom, rows: Rows
) -> None:
    services.start_dispatcher()
    zoom.deliver(events.started(Stream()))
    row = wait_for(lambda: (row := rows.meeting()).state != "pending" and row)
    assert (row.state, row.reason, row.attempts) == ("failed", "refused", 1)
    assert row.last_error.startswith("Recall was not asked: ALL_PROXY names a SOCKS proxy")
    assert "hunter2" not in row.last_error

    def told() -> sa.Row[tuple[object, ...]] | None:
        with services.database.read() as connection:
            return connection.execute(
                sa.select(NOTIFICATIONS).where(NOTIFICATIONS.c.attempts > 0)
            ).one_or_none()

    notification = wait_for(told)
    assert "NOTIFY_URL was not called: ALL_PROXY" in notification.last_error
    assert "token-of-the-hook" not in notification.last_error
    assert notification.due_at - clock.now() > timedelta(minutes=50)


def test_the_doctor_names_it(runner: FlaskCliRunner) -> None:
    said = runner.invoke(args=["doctor", "--json"])
    assert said.exit_code == 1
    for words in ("https://us-east-1.recall.ai cannot be called: ALL_PROXY", "requests[socks]"):
        assert words in said.stdout
    assert "NOTIFY_URL cannot be called: ALL_PROXY" in said.stdout
    assert "hunter2" not in said.stdout
