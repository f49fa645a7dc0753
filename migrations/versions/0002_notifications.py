"""Notifications, and an index for the rows that are followed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("listener", sa.String(length=16), nullable=False),
        sa.Column("meeting_direct_connect_id", ROW_ID, nullable=False),
        sa.Column("recording_id", ROW_ID, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "event IN ('stream_connected', 'stream_failed', 'recording_done', 'recording_failed')",
            name=op.f("ck_notifications_event"),
        ),
        sa.CheckConstraint(
            "listener IN ('signals', 'notify_url')", name=op.f("ck_notifications_listener")
        ),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (leased_until IS NULL)",
            name=op.f("ck_notifications_lease_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["meeting_direct_connect_id"],
            ["meeting_direct_connects.id"],
            name=op.f("fk_notifications_meeting_direct_connect_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
            name=op.f("fk_notifications_recording_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index("ix_notifications_connect", "notifications", ["meeting_direct_connect_id"])
    op.create_index(
        "ix_notifications_due", "notifications", ["due_at"], **_where("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_followed",
        "meeting_direct_connects",
        ["due_at"],
        **_where("state <> 'pending' AND due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_followed", "meeting_direct_connects")
    op.drop_table("notifications")
