"""The learned rate limit of Recall, and fewer indexes for a new row."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CONNECTS = "meeting_direct_connects"
LIVE = "state IN ('pending', 'connected') AND stopped_at IS NULL"
# Zoom redelivers for two hours at most.
REDELIVERED = timedelta(days=1)
EVENTS = sa.table(
    "webhook_events",
    sa.column("source", sa.Text),
    sa.column("event", sa.Text),
    sa.column("event_ts", sa.BigInteger),
    sa.column("rtms_stream_id", sa.Text),
    sa.column("dedupe_key", sa.Text),
    sa.column("received_at", sa.DateTime(timezone=True)),
)


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _rename_keys(old: str, new: str) -> None:
    """Change the deduplication keys of events that Zoom may redeliver."""
    parts = {
        "event": EVENTS.c.event,
        "stream": EVENTS.c.rtms_stream_id,
        "ts": sa.cast(EVENTS.c.event_ts, sa.Text),
    }

    def key(names: str) -> sa.ColumnElement[str]:
        first, second, third = (parts[name] for name in names.split(":"))
        return first + ":" + second + ":" + third

    now = datetime.now(UTC)
    op.execute(
        EVENTS.update()
        .where(
            EVENTS.c.source == "zoom",
            EVENTS.c.received_at > now - REDELIVERED,
            EVENTS.c.dedupe_key == key(old),
        )
        .values(dedupe_key=key(new))
    )


def upgrade() -> None:
    op.drop_index("ix_live_meeting", CONNECTS)
    op.drop_index("ix_recall_id", CONNECTS)
    op.drop_index("uq_live_slot", CONNECTS)
    op.create_index("ix_recall_id", CONNECTS, ["recall_id"], **_where("recall_id IS NOT NULL"))
    op.create_index(
        "uq_live_slot",
        CONNECTS,
        ["meeting_slot"],
        unique=True,
        **_where(f"meeting_slot IS NOT NULL AND {LIVE}"),
    )
    _rename_keys("event:stream:ts", "ts:event:stream")
    op.create_index(
        "ix_key_used_at", CONNECTS, ["key_used_at"], **_where("key_used_at IS NOT NULL")
    )
    for column in (
        sa.Column("creates", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed", sa.Integer(), nullable=True),
    ):
        op.add_column("gates", column)


def downgrade() -> None:
    for column in ("confirmed", "learned_at", "seconds", "creates"):
        op.drop_column("gates", column)
    op.drop_index("ix_key_used_at", CONNECTS)
    _rename_keys("ts:event:stream", "event:stream:ts")
    op.drop_index("uq_live_slot", CONNECTS)
    op.drop_index("ix_recall_id", CONNECTS)
    op.create_index("uq_live_slot", CONNECTS, ["meeting_slot"], unique=True, **_where(LIVE))
    op.create_index("ix_recall_id", CONNECTS, ["recall_id"])
    op.create_index("ix_live_meeting", CONNECTS, ["meeting_uuid"], **_where(LIVE))
