"""Creates indexes on a large table while deliveries are accepted."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from alembic import op

log = structlog.get_logger()


class NewIndex(NamedTuple):
    """A partial index that a migration creates."""

    table: str
    columns: Sequence[str]
    condition: str


def create_indexes(indexes: Mapping[str, NewIndex]) -> None:
    """Create indexes, by name. On PostgreSQL this does not block writers (`CREATE INDEX
    CONCURRENTLY`), so everything before it in this migration is committed. An index whose creation
    was interrupted is created again."""
    if op.get_context().dialect.name == "sqlite":
        for name, index in indexes.items():
            _create(name, index)
        return
    with op.get_context().autocommit_block():
        server = op.get_bind()
        lock_timeout = server.scalar(sa.text("SHOW lock_timeout"))
        op.execute("SET lock_timeout = 0")  # no other statement queues behind this lock
        for name, index in indexes.items():
            is_valid = server.scalar(
                sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
                {"name": name},
            )
            if is_valid:
                continue
            if is_valid is False:  # its creation was interrupted
                op.drop_index(name, index.table, postgresql_concurrently=True)
            if server.scalar(sa.select(sa.exists().select_from(sa.table(index.table)))):
                log.info("creating an index, after the transactions in progress", index=name)
            _create(name, index, postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{lock_timeout}'")


def _create(name: str, index: NewIndex, **options: bool) -> None:
    where = sa.text(index.condition)
    op.create_index(
        name, index.table, index.columns, sqlite_where=where, postgresql_where=where, **options
    )
