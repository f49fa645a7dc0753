"""Making indexes on a large table while deliveries are taken in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from alembic import op

log = structlog.get_logger()


class NewIndex(NamedTuple):
    """A partial index that a migration makes."""

    table: str
    columns: Sequence[str]
    condition: str


def create_indexes(indexes: Mapping[str, NewIndex]) -> None:
    """Make indexes, by name. On PostgreSQL writers go on meanwhile (`CREATE INDEX CONCURRENTLY`),
    so what came before in this migration is committed. An index whose making broke off is made
    anew."""
    if op.get_context().dialect.name == "sqlite":
        for name, index in indexes.items():
            _create(name, index)
        return
    with op.get_context().autocommit_block():
        server = op.get_bind()
        patience = server.scalar(sa.text("SHOW lock_timeout"))
        op.execute("SET lock_timeout = 0")  # nobody queues behind what waits here
        for name, index in indexes.items():
            is_valid = server.scalar(
                sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
                {"name": name},
            )
            if is_valid:
                continue
            if is_valid is False:  # its making broke off halfway
                op.drop_index(name, index.table, postgresql_concurrently=True)
            if server.scalar(sa.select(sa.exists().select_from(sa.table(index.table)))):
                log.info("making an index, after transactions that are under way", index=name)
            _create(name, index, postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{patience}'")


def _create(name: str, index: NewIndex, **options: bool) -> None:
    where = sa.text(index.condition)
    op.create_index(
        name, index.table, index.columns, sqlite_where=where, postgresql_where=where, **options
    )
