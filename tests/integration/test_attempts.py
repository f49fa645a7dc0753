"""What became of each try that did not connect is kept, for whoever asks later."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from models import ATTEMPTS
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.integration.conftest import Rows, Zoom
from tests.servers import wait_for


@pytest.fixture
def dispatching(services: Services) -> Services:
    services.start_dispatcher()
    return services


def attempts(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return list(connection.execute(sa.select(ATTEMPTS).order_by(ATTEMPTS.c.id)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        ({"kind": "status", "status": 503}, "unknown", "Recall answered 503"),
        ({"kind": "status", "status": 507}, "not_done", "Recall answered 507"),
        (
            {"kind": "status", "status": 429, "retry_after": 1},
            "rate_limited",
            "Recall answered 429",
        ),
        ({"kind": "reset_after"}, "unknown", "No answer from Recall"),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else None,
)
def test_a_try_that_fails_is_kept_with_its_words_and_the_next_moment(
    recall: RecallSandbox,
    zoom: Zoom,
    dispatching: Services,
    rows: Rows,
    fault: dict[str, Any],
    outcome: str,
    words: str,
) -> None:
    recall.add_fault(Fault(**fault, path="create"))
    zoom.deliver(events.started(Stream()))
    row = wait_for(lambda: (row := rows.meeting()).state == "connected" and row, "the connection")
    (kept,) = attempts(dispatching)
    assert (kept.meeting_direct_connect_id, kept.outcome) == (row.id, outcome)
    assert words in kept.error
    assert row.received_at <= kept.at < kept.next_try_at < row.connected_at


def test_the_last_try_of_all_has_no_next_one(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="status", status=402, path="create"))
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meeting().state == "failed", "the refusal")
    (kept,) = attempts(dispatching)
    assert (kept.outcome, kept.next_try_at) == ("refused", None)
    assert "402" in kept.error


def test_a_stream_that_connects_at_once_leaves_none(
    recall: RecallSandbox, zoom: Zoom, dispatching: Services, rows: Rows
) -> None:
    zoom.deliver(events.started(Stream()))
    wait_for(lambda: rows.meeting().state == "connected", "the connection")
    assert attempts(dispatching) == []
