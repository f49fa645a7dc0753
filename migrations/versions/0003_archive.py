"""Columns for archiving recordings (ARCHIVE_URL)."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Columns are added in place and not by batch_alter_table: on SQLite that recreates the table, and
# dropping the old one would delete the notifications about its rows (ON DELETE CASCADE).
LEASE_WHOLE = "(lease_owner IS NULL) = (leased_until IS NULL)"


def upgrade() -> None:
    for column in (
        sa.Column("archive_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archive_attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("archive_error", sa.Text(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("recordings", column)
    # The check is added with the last column: SQLite cannot add one alone.
    op.execute(
        "ALTER TABLE recordings ADD COLUMN lease_owner TEXT "
        f"CONSTRAINT ck_recordings_lease_whole CHECK ({LEASE_WHOLE})"
    )
    op.create_index(
        "ix_recordings_archive",
        "recordings",
        ["archive_due_at"],
        sqlite_where=sa.text("archive_due_at IS NOT NULL"),
        postgresql_where=sa.text("archive_due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_recordings_archive", "recordings")
    for column in (
        "lease_owner",  # with its check
        "leased_until",
        "archive_error",
        "archive_attempts",
        "archived_at",
        "archive_due_at",
    ):
        op.drop_column("recordings", column)
