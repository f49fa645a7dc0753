"""Erasures of what is stored of users who removed the app."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ERASURES = "erasures"
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
WAITING = "state = 'waiting'"
STATES = "'waiting', 'done', 'failed'"


def upgrade() -> None:
    op.create_table(
        ERASURES,
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("zoom_user_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("deauthorized_at", TIME, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f(f"ck_{ERASURES}_state")),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (leased_until IS NULL)",
            name=op.f(f"ck_{ERASURES}_lease_whole"),
        ),
        sa.CheckConstraint(
            f"(due_at IS NOT NULL) = ({WAITING})", name=op.f(f"ck_{ERASURES}_waiting_is_due")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{ERASURES}")),
        sa.UniqueConstraint(
            "zoom_user_id",
            "deauthorized_at",
            name=op.f(f"uq_{ERASURES}_zoom_user_id_deauthorized_at"),
        ),
    )
    where = sa.text(WAITING)
    op.create_index(
        "ix_erasures_due", ERASURES, ["due_at"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_table(ERASURES)
