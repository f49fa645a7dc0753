"""The rows of a meeting whose stream was started again, on both engines."""

from __future__ import annotations

import sqlalchemy as sa

from models import CONNECTS
from rtms.restart_chain import CHAIN, read_chain
from rtms.services import Services
from tests.databases import on_one_engine
from tests.integration.test_dashboard_meetings import put


def restarted(services: Services, *pairs: tuple[int, int]) -> None:
    """Note that each first row was started again as the second."""

    def write(connection: sa.Connection) -> None:
        for older, newer in pairs:
            change = sa.update(CONNECTS).where(CONNECTS.c.id == older)
            connection.execute(change.values(restarted_as=newer))

    services.database.write(write)


def test_every_row_of_a_meeting_finds_all_of_them(services: Services) -> None:
    put(services, *({} for _ in range(7)))
    restarted(services, (2, 4), (4, 5), (3, 7))
    with services.database.read() as connection:
        found = {id: [row.id for row in read_chain(connection, id)] for id in range(1, 9)}
    assert found == {
        1: [1], 2: [2, 4, 5], 3: [3, 7], 4: [2, 4, 5], 5: [2, 4, 5], 6: [6], 7: [3, 7], 8: [],
    }  # fmt: skip


@on_one_engine
def test_the_chain_is_read_by_indexes(services: Services) -> None:
    with services.database.read() as connection:
        chain = CHAIN.params(id=1).compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {chain}").fetchall()
    steps = [row[3] for row in plan]
    assert any("ix_restarted_as" in step for step in steps), steps
    assert not any(step.startswith("SCAN meeting_direct_connects") for step in steps), steps
