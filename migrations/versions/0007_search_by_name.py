"""Indexes for finding meetings by account, host and topic, and events by the meeting they name."""

from alembic import op

from migrations.online_indexes import NewIndex, create_indexes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CONNECTS = "meeting_direct_connects"
EVENTS = "webhook_events"
INDEXES = {
    "ix_account_id": NewIndex(CONNECTS, ["account_id", "id"], "due_at IS NULL"),
    "ix_host_id": NewIndex(CONNECTS, ["host_id", "id"], "due_at IS NULL"),
    "ix_topic": NewIndex(CONNECTS, ["id", "topic_search"], "topic_search IS NOT NULL"),
    "ix_events_meeting_uuid": NewIndex(EVENTS, ["meeting_uuid"], "meeting_uuid IS NOT NULL"),
    "ix_events_meeting_id": NewIndex(EVENTS, ["meeting_id"], "meeting_id IS NOT NULL"),
}


def upgrade() -> None:
    create_indexes(INDEXES)


def downgrade() -> None:
    for name, index in INDEXES.items():
        op.drop_index(name, index.table)
