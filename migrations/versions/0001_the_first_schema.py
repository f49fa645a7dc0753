"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


LIVE = _where("state IN ('pending', 'connected') AND stopped_at IS NULL")
PENDING = _where("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "gates",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gates")),
    )
    op.create_table(
        "meeting_direct_connects",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("rtms_stream_id", sa.Text(), nullable=False),
        sa.Column("meeting_uuid", sa.Text(), nullable=False),
        sa.Column("meeting_id", sa.Text(), nullable=True),
        sa.Column("product", sa.String(length=16), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=True),
        sa.Column("is_original_host", sa.Boolean(), nullable=True),
        sa.Column("server_urls", sa.Text(), nullable=False),
        sa.Column("event_ts", sa.BigInteger(), nullable=False),
        sa.Column("tracking_id", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("recall_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("sub_code", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("superseded_by", ROW_ID, nullable=True),
        sa.Column("meeting_slot", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("connect_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("key_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("interrupted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_reason", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(reason IS NOT NULL) = (state IN ('failed', 'skipped'))",
            name=op.f("ck_meeting_direct_connects_reason_given"),
        ),
        sa.CheckConstraint(
            "product IN ('meeting', 'webinar', 'session')",
            name=op.f("ck_meeting_direct_connects_product"),
        ),
        sa.CheckConstraint(
            "reason IN ('refused', 'window_expired', 'recall_failed', "
            "'stopped_first', 'unsupported', 'not_wanted')",
            name=op.f("ck_meeting_direct_connects_reason"),
        ),
        sa.CheckConstraint(
            "state <> 'connected' OR recall_id IS NOT NULL",
            name=op.f("ck_meeting_direct_connects_connected_has_id"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'connected', 'ended', 'done', 'failed', 'skipped')",
            name=op.f("ck_meeting_direct_connects_state"),
        ),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (leased_until IS NULL)",
            name=op.f("ck_meeting_direct_connects_lease_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["superseded_by"],
            ["meeting_direct_connects.id"],
            name=op.f("fk_meeting_direct_connects_superseded_by"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting_direct_connects")),
        sa.UniqueConstraint(
            "rtms_stream_id",
            "event_ts",
            name=op.f("uq_meeting_direct_connects_rtms_stream_id_event_ts"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_live_meeting", "meeting_direct_connects", ["meeting_uuid"], **LIVE)
    op.create_index("ix_pending", "meeting_direct_connects", ["connect_by"], **PENDING)
    op.create_index("ix_recall_id", "meeting_direct_connects", ["recall_id"])
    op.create_index("ix_received_at", "meeting_direct_connects", ["received_at"])
    op.create_index("ix_state", "meeting_direct_connects", ["state", "id"])
    op.create_index(
        "uq_live_slot", "meeting_direct_connects", ["meeting_slot"], unique=True, **LIVE
    )
    op.create_index(
        "uq_live_stream", "meeting_direct_connects", ["rtms_stream_id"], unique=True, **LIVE
    )

    op.create_table(
        "webhook_events",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("event_ts", sa.BigInteger(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("rtms_stream_id", sa.Text(), nullable=True),
        sa.Column("tracking_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.CheckConstraint("source IN ('zoom', 'recall')", name=op.f("ck_webhook_events_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        sa.UniqueConstraint(
            "source", "dedupe_key", name=op.f("uq_webhook_events_source_dedupe_key")
        ),
    )
    op.create_index("ix_events_received_at", "webhook_events", ["received_at"])
    op.create_index("ix_events_stream", "webhook_events", ["rtms_stream_id"])

    op.create_table(
        "recordings",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("meeting_direct_connect_id", ROW_ID, nullable=False),
        sa.Column("recall_recording_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sub_code", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("media", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_direct_connect_id"],
            ["meeting_direct_connects.id"],
            name=op.f("fk_recordings_meeting_direct_connect_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint("recall_recording_id", name=op.f("uq_recordings_recall_recording_id")),
    )
    op.create_index("ix_recordings_connect", "recordings", ["meeting_direct_connect_id"])


def downgrade() -> None:
    for table in ("recordings", "webhook_events", "meeting_direct_connects", "gates"):
        op.drop_table(table)
