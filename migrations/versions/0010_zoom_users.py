"""Users who installed the app, and their encrypted tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

USERS = "zoom_users"
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        USERS,
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("zoom_user_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("access_token", sa.Text(), nullable=False),
        sa.Column("refresh_token", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("must_install_again", sa.Boolean(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("installed_at", TIME, nullable=False),
        sa.Column("refreshed_at", TIME, nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (leased_until IS NULL)", name=op.f(f"ck_{USERS}_lease_whole")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{USERS}")),
        sa.UniqueConstraint("zoom_user_id", name=op.f(f"uq_{USERS}_zoom_user_id")),
    )
    op.create_index("ix_zoom_users_account", USERS, ["account_id"])


def downgrade() -> None:
    op.drop_table(USERS)
