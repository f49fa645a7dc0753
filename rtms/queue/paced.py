"""Pace requests evenly across all processes, through rows of the table of gates.

While a gate is closed, no process makes a request of that kind.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import GATES
from rtms import clock
from rtms.db.database import Database
from rtms.db.engines import insert_into

_CLOSED_UNTIL = sa.select(GATES.c.closed_until).where(GATES.c.name == sa.bindparam("gate"))


def closed_until(connection: Connection, gate: str) -> datetime | None:
    """Return until when a gate is closed; None where it never was."""
    until: datetime | None = connection.scalar(_CLOSED_UNTIL, {"gate": gate})
    return until


def close(connection: Connection, gate: str, *, until: datetime) -> None:
    """Close a gate until a moment, unless it is already closed for longer."""
    statement = insert_into(connection, GATES).values(name=gate, closed_until=until)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[GATES.c.name],
            set_={"closed_until": statement.excluded.closed_until},
            where=GATES.c.closed_until < statement.excluded.closed_until,
        )
    )


class Pace:
    """An even rate of requests that all processes share.

    Args:
        gate: the name of its gate.
        seconds_each: seconds from one request to the next.
    """

    def __init__(self, database: Database, gate: str, *, seconds_each: float) -> None:
        self._database = database
        self._gate = gate
        self._seconds_each = seconds_each

    def opens_at(self, connection: Connection) -> datetime | None:
        """Return when the next request may be made; None where it may be made now."""
        return closed_until(connection, self._gate)

    def serialize(self, connection: Connection) -> None:
        """Lock the gate until this transaction ends."""
        self._database.serialize_on(connection, self._gate)

    def spend(self, connection: Connection, requests: int, *, now: datetime) -> None:
        """Close the gate for as long as this number of requests takes."""
        until = now + timedelta(seconds=requests * self._seconds_each)
        close(connection, self._gate, until=until)

    def close(self, *, until: datetime) -> None:
        """Close the gate, in a transaction of its own."""
        self._database.write(lambda connection: close(connection, self._gate, until=until))

    def take_turn(self) -> float:
        """Reserve the next request, beyond those that were leased.

        Returns:
            The seconds to wait before making it.
        """

        def take(connection: Connection) -> float:
            now = clock.now()
            self.serialize(connection)
            turn = max(self.opens_at(connection) or now, now)
            self.spend(connection, 1, now=turn)
            return (turn - now).total_seconds()

        return self._database.write(take)
