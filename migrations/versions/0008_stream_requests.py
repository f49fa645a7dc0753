"""Requests to Zoom for streams, and which stream was started in place of a lost one."""

import sqlalchemy as sa
from alembic import op

from migrations.online_indexes import NewIndex, create_indexes

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CONNECTS = "meeting_direct_connects"
REQUESTS = "stream_requests"
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
OPEN = "state IN ('waiting', 'accepted')"
ACTIONS = "'start', 'stop'"
CAUSES = "'window_expired', 'stream_fault', 'never_came', 'outage', 'by_hand'"
STATES = "'waiting', 'accepted', 'fulfilled', 'refused', 'withdrawn', 'given_up'"
INDEXES = {
    "ix_restarted_as": NewIndex(CONNECTS, ["restarted_as"], "restarted_as IS NOT NULL"),
}


def upgrade() -> None:
    # On PostgreSQL, `create_indexes` commits what is before it, so it is done if that was
    # interrupted.
    if not sa.inspect(op.get_bind()).has_table(REQUESTS):
        _add_restarted_as()
        _create_requests()
    create_indexes(INDEXES)


def downgrade() -> None:
    for name, index in INDEXES.items():
        op.drop_index(name, index.table)
    op.drop_table(REQUESTS)
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(op.f(f"fk_{CONNECTS}_restarted_as"), CONNECTS, type_="foreignkey")
    op.drop_column(CONNECTS, "restarted_as")


def _add_restarted_as() -> None:
    """Add the column with its foreign key. SQLite takes the key only in the column's definition."""
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"ALTER TABLE {CONNECTS} ADD COLUMN restarted_as INTEGER "
            f"CONSTRAINT fk_{CONNECTS}_restarted_as REFERENCES {CONNECTS} (id)"
        )
        return
    op.add_column(CONNECTS, sa.Column("restarted_as", ROW_ID, nullable=True))
    op.create_foreign_key(
        op.f(f"fk_{CONNECTS}_restarted_as"), CONNECTS, CONNECTS, ["restarted_as"], ["id"]
    )


def _create_requests() -> None:
    op.create_table(
        REQUESTS,
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("meeting_id", sa.Text(), nullable=False),
        sa.Column("meeting_uuid", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_live", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("replaces", ROW_ID, nullable=True),
        sa.Column("led_to", ROW_ID, nullable=True),
        sa.CheckConstraint(f"action IN ({ACTIONS})", name=op.f(f"ck_{REQUESTS}_action")),
        sa.CheckConstraint(f"cause IN ({CAUSES})", name=op.f(f"ck_{REQUESTS}_cause")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f(f"ck_{REQUESTS}_state")),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (leased_until IS NULL)",
            name=op.f(f"ck_{REQUESTS}_lease_whole"),
        ),
        sa.CheckConstraint(
            f"(due_at IS NOT NULL) = ({OPEN})", name=op.f(f"ck_{REQUESTS}_open_is_due")
        ),
        sa.ForeignKeyConstraint(
            ["replaces"],
            [f"{CONNECTS}.id"],
            name=op.f(f"fk_{REQUESTS}_replaces"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["led_to"], [f"{CONNECTS}.id"], name=op.f(f"fk_{REQUESTS}_led_to"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{REQUESTS}")),
    )
    where = sa.text(OPEN)
    op.create_index(
        "uq_open_request",
        REQUESTS,
        ["meeting_id", "operator_id"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    op.create_index(
        "ix_requests_due", REQUESTS, ["due_at"], sqlite_where=where, postgresql_where=where
    )
    op.create_index("ix_requests_created_at", REQUESTS, ["created_at"])
    op.create_index("ix_requests_meeting_uuid", REQUESTS, ["meeting_uuid"])
    op.create_index("ix_requests_replaces", REQUESTS, ["replaces"])
    op.create_index("ix_requests_led_to", REQUESTS, ["led_to"])
