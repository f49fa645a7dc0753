"""Recall's limit, kept to by all processes together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from config import Config
from models import CONNECTS, GATES
from rtms import clock
from rtms.recall import rate_limit
from rtms.services import Services
from sandbox import RecallSandbox, Stream, events
from tests.integration.conftest import Rows, wait_for


def refuse(services: Services, *, retry_after: float, id: int = 0) -> Any:
    return services.database.write(
        lambda c: rate_limit.refuse_create(c, id, retry_after=retry_after, now=clock.now())
    )


def room(services: Services) -> Any:
    return services.database.write(
        lambda c: rate_limit.room_for_creates(services.database, c, now=clock.now())
    )


def gate(services: Services) -> Any:
    with services.database.read() as connection:
        return connection.execute(sa.select(GATES)).one()


def test_where_nothing_was_refused_there_is_room_for_all(services: Services) -> None:
    assert room(services) == (None, None)


def test_a_refusal_closes_the_gate_and_counts_what_was_admitted(services: Services) -> None:
    for _ in range(5):
        services.intake.take(events.started(Stream()))
    services.database.write(lambda c: c.execute(CONNECTS.update().values(key_used_at=clock.now())))
    opens_at = refuse(services, retry_after=7, id=5)
    assert room(services) == (0, opens_at)
    assert gate(services).closed_until == opens_at
    assert gate(services).creates == 4  # the refused one is not among them


def test_a_second_refusal_does_not_open_the_gate_sooner(services: Services) -> None:
    later = refuse(services, retry_after=30)
    assert refuse(services, retry_after=1) == later
    assert room(services) == (0, later)


def test_a_gate_that_was_closed_in_the_future_is_open(services: Services) -> None:
    """The clock was set back since."""
    refuse(services, retry_after=30)
    ahead = clock.now() + timedelta(minutes=3)
    services.database.write(
        lambda c: c.execute(GATES.update().values(closed_until=ahead, learned_at=ahead))
    )
    assert room(services) == (None, None)
    opens_at = refuse(services, retry_after=2)
    assert opens_at < clock.now() + timedelta(seconds=3)


def test_a_limit_that_is_old_costs_nobody_a_turn(services: Services) -> None:
    refuse(services, retry_after=1)
    long_ago = clock.now() - timedelta(hours=1)
    services.database.write(
        lambda c: c.execute(GATES.update().values(closed_until=long_ago, learned_at=long_ago))
    )
    assert room(services) == (None, None)


@pytest.mark.slow
@pytest.mark.environ(CONNECT_THREADS="8")
def test_two_processes_keep_to_a_limit_together(
    recall: RecallSandbox, services: Services, config: Config, rows: Rows
) -> None:
    recall.set(limit=[6, 3.0])
    other = Services.from_config(config)
    for _ in range(18):
        services.intake.take(events.started(Stream()))
    dispatchers = [services.start_dispatcher(), other.start_dispatcher()]
    wait_for(lambda: all(row.state == "connected" for row in rows.meetings()), seconds=40)
    assert dispatchers[1].drain(timeout=20)
    other.recall.close()
    other.database.dispose()
    assert len(recall.connections) == 18
    refused = sum(entry.status == 429 for entry in recall.ledger)
    assert 1 <= refused <= 16 + 6  # all threads before anything is known; then one now and then
