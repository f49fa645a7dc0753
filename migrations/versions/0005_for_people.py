"""What people look at: tries that failed, processes, the dashboard's sessions; search."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CONNECTS = "meeting_direct_connects"
SEARCHED = {
    "ix_meeting_id": (["meeting_id", "id"], "due_at IS NULL"),
    "ix_meeting_uuid": (["meeting_uuid", "id"], "due_at IS NULL"),
    "ix_operator_id": (["operator_id", "id"], "due_at IS NULL"),
    "ix_superseded_by": (["superseded_by"], "superseded_by IS NOT NULL"),
}


ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _index_for_search() -> None:
    if op.get_context().dialect.name == "sqlite":
        _create_indexes()
        return
    # A table of a million meetings must take deliveries in while it is being indexed.
    with op.get_context().autocommit_block():
        for name in SEARCHED:  # one that broke off halfway is there, and is no good
            op.drop_index(name, CONNECTS, if_exists=True, postgresql_concurrently=True)
        _create_indexes(postgresql_concurrently=True)


def _create_indexes(**options: bool) -> None:
    for name, (columns, condition) in SEARCHED.items():
        where = sa.text(condition)
        op.create_index(
            name, CONNECTS, columns, sqlite_where=where, postgresql_where=where, **options
        )


def upgrade() -> None:
    _index_for_search()  # first: what comes before it is committed, whatever becomes of the rest
    op.add_column(CONNECTS, sa.Column("taken_over_from", sa.Text(), nullable=True))
    op.create_table(
        "connect_attempts",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column(
            "meeting_direct_connect_id",
            ROW_ID,
            sa.ForeignKey(
                f"{CONNECTS}.id",
                ondelete="CASCADE",
                name="fk_connect_attempts_meeting_direct_connect_id",
            ),
            nullable=False,
        ),
        _moment("at"),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        _moment("next_try_at", nullable=True),
    )
    op.create_index("ix_attempts_connect", "connect_attempts", ["meeting_direct_connect_id"])
    op.create_table(
        "processes",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("dispatches", sa.Boolean(), nullable=False),
        _moment("started_at"),
        _moment("seen_at"),
        sa.Column("counts", sa.JSON(), nullable=False),
    )
    op.create_table(
        "admin_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        _moment("created_at"),
        _moment("expires_at"),
    )
    op.create_table(
        "login_failures",
        sa.Column("address", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("last_failed_at"),
    )


def downgrade() -> None:
    for name in SEARCHED:
        op.drop_index(name, CONNECTS)
    for table in ("login_failures", "admin_sessions", "processes", "connect_attempts"):
        op.drop_table(table)
    op.drop_column(CONNECTS, "taken_over_from")
