"""A table as a queue: which rows are due, and which process has leased them.

Statements for use inside a transaction. Each takes the current time as an argument.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS


@dataclass(frozen=True, kw_only=True)
class Leased:
    """A row that this process has leased. Each queue adds the columns its job needs."""

    id: int
    leased_until: datetime
    lease_owner: str  # unique to each lease


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How much work is in a queue."""

    due: int  # rows that are due and not leased
    leased: int
    oldest_seconds: float  # how long the oldest due row has waited; 0 where there is none


R = TypeVar("R", bound=Leased)


def moment(name: str) -> sa.BindParameter[datetime]:
    """Return a bind parameter for a point in time."""
    return sa.bindparam(name, type_=CONNECTS.c.due_at.type)


NOW = moment("now")


class Queue(Generic[R]):
    """The rows of a table that wait for one job.

    Statements are built once: SQLAlchemy takes longer to build one than the database to run it.

    Args:
        row: what a claim returns; its fields are columns of the table.
        table: has the columns `id`, `lease_owner` and `leased_until`.
        predicate: which rows belong to the job, as SQL. It is part of each statement, because
            neither engine uses a partial index for a bound value.
        due_at: when a row is due.
        order_by: which rows go first.
        index: the partial index over those rows. Without this hint, SQLite reads and sorts all of
            them for each claim.
        waits_since: since when a row has been waiting; by default since it was due.
    """

    def __init__(
        self,
        row: type[R],
        *,
        table: sa.Table,
        predicate: str,
        due_at: sa.Column[Any],
        order_by: sa.ColumnElement[Any],
        index: str,
        waits_since: sa.Column[Any] | None = None,
    ) -> None:
        self.table = table
        self.predicate = sa.text(predicate)
        self._row = row
        self._columns = [table.c[field.name] for field in fields(row)]
        self._due_at = due_at
        self._order_by = order_by
        self._index = index
        self._waits_since = waits_since
        self._claim = self.claiming()
        self._next_due = sa.select(
            sa.func.min(
                sa.case((table.c.leased_until.is_(None), due_at), else_=table.c.leased_until)
            )
        ).where(self.predicate)

    def next_due(self, connection: Connection) -> datetime | None:
        """Return when a row is next due; None where there is none."""
        due: datetime | None = connection.scalar(self._next_due)
        return due

    def depth(self, connection: Connection, *, now: datetime) -> Depth:
        """Return how many rows are due and how many are leased."""
        is_leased = self.table.c.leased_until > now
        is_due = sa.and_(
            sa.func.coalesce(is_leased, sa.false()).is_(sa.false()), self._due_at <= now
        )
        due_since = sa.case((is_due, self._due_at))
        waits = due_since if self._waits_since is None else self._waits_since
        row = connection.execute(
            sa.select(
                sa.func.count(sa.case((is_due, 1))).label("due"),
                sa.func.count(sa.case((is_leased, 1))).label("leased"),
                sa.func.min(waits).label("oldest"),
            ).where(self.predicate)
        ).one()
        waited = (now - row.oldest).total_seconds() if row.oldest else 0.0
        return Depth(due=row.due, leased=row.leased, oldest_seconds=max(waited, 0.0))

    def unleased(self, now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
        """Return the condition that a row has no lease, or an expired one."""
        return sa.or_(self.table.c.leased_until.is_(None), self.table.c.leased_until <= now)

    def claiming(
        self,
        *conditions: sa.ColumnElement[bool],
        is_due: sa.ColumnElement[bool] | None = None,
        **values: Any,
    ) -> sa.Executable:
        """Build a statement that leases rows, for `claim`.

        Args:
            conditions: which rows, besides the predicate.
            is_due: when a row is due; by default at its `due_at`.
            values: other columns to set.
        """
        chosen = (
            sa.select(self.table.c.id)
            .where(
                self.predicate,
                *conditions,
                self._due_at <= NOW if is_due is None else is_due,
                self.unleased(NOW),
            )
            .order_by(self._order_by)
            .with_hint(self.table, f"INDEXED BY {self._index}", "sqlite")
            .limit(sa.bindparam("limit", type_=sa.Integer()))
            # Skip rows that another process is leasing. (SQLite has one writer at a time.)
            .with_for_update(skip_locked=True)
            .cte("chosen")
        )
        return (
            self.table.update()
            .where(self.table.c.id.in_(sa.select(chosen.c.id)))
            .values(lease_owner=sa.bindparam("owner"), leased_until=moment("lease_ends"), **values)
            .returning(*self._columns)
        )

    def claim(
        self,
        connection: Connection,
        *,
        limit: int,
        owner: str,
        now: datetime,
        seconds: float,
        claiming: sa.Executable | None = None,
        **moments: datetime,
    ) -> list[R]:
        """Lease due rows, in the queue's order.

        Args:
            limit: how many at most.
            owner: a new name, see `new_owner`.
            seconds: how long the lease lasts.
            claiming: a statement made by `claiming`, in place of the default.
            moments: that statement's bind parameters.
        """
        lease = {"limit": limit, "owner": owner, "lease_ends": now + timedelta(seconds=seconds)}
        names = [column.name for column in self._columns]
        rows = connection.execute(
            self._claim if claiming is None else claiming, {**lease, "now": now, **moments}
        )
        return [self._row(**dict(zip(names, row, strict=True))) for row in rows]

    def renew(self, connection: Connection, row: R, *, now: datetime, seconds: float) -> bool:
        """Extend a lease. Return False where it has expired and another process has the row."""
        ends = now + timedelta(seconds=seconds)
        return connection.execute(self._of(row).values(leased_until=ends)).rowcount == 1

    def hand_back(self, connection: Connection, rows: Sequence[R], *, now: datetime) -> None:
        """End leases now. The owner stays, as after a crash, because the outcome is unknown."""
        for row in rows:
            connection.execute(self._of(row).values(leased_until=now))

    def record(self, connection: Connection, row: R, **values: Any) -> bool:
        """Record a row's outcome and end its lease. Return False where another process has it."""
        released = {"lease_owner": None, "leased_until": None}
        return connection.execute(self._of(row).values(values | released)).rowcount == 1

    def _of(self, row: R) -> sa.Update:
        c = self.table.c
        return self.table.update().where(c.id == row.id, c.lease_owner == row.lease_owner)


def new_owner() -> str:
    """Return a unique name for a new lease, which starts with the host and process."""
    return f"{_process()}:{uuid.uuid4().hex[:8]}"


def is_ours(owner: str) -> bool:
    """Return whether a lease belongs or belonged to this process. It may have expired while the
    database was unreachable."""
    return owner.rpartition(":")[0] == _process()


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
