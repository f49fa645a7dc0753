"""A meeting's account and topic; more products; one live stream per user and meeting."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CONNECTS = "meeting_direct_connects"
LIVE = "state IN ('pending', 'connected') AND stopped_at IS NULL"
PRODUCTS = ("meeting", "webinar", "session", "contact_center", "phone")
EVENTS = (
    "stream_connected",
    "stream_failed",
    "recording_done",
    "recording_failed",
    "transcript_done",
    "transcript_failed",
)
TEXT_COLUMNS = {
    CONNECTS: ("account_id", "topic", "topic_search", "host_id"),
    "webhook_events": ("meeting_uuid", "meeting_id"),
}
LATER = (
    f"SELECT id FROM {CONNECTS} AS later WHERE {LIVE} "  # noqa: S608 - our names
    f"AND later.meeting_uuid = {CONNECTS}.meeting_uuid "
    f"AND later.operator_id = {CONNECTS}.operator_id "
    f"AND (later.event_ts > {CONNECTS}.event_ts "
    f"OR later.event_ts = {CONNECTS}.event_ts AND later.id > {CONNECTS}.id) "
    "ORDER BY later.event_ts DESC, later.id DESC LIMIT 1"
)


def upgrade() -> None:
    for table, names in TEXT_COLUMNS.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.Text(), nullable=True))
    op.add_column("webhook_events", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("recordings", sa.Column("archived_media", sa.JSON(), nullable=True))
    _replace_check("notifications", "event", EVENTS)
    _replace_check(CONNECTS, "product", PRODUCTS)
    # A rule that earlier versions did not have: a user's later stream replaces the earlier one.
    op.execute(
        f"UPDATE {CONNECTS} SET state = 'ended', superseded_by = ({LATER}), "  # noqa: S608
        "due_at = CASE WHEN recall_id IS NOT NULL THEN due_at END "
        f"WHERE operator_id IS NOT NULL AND {LIVE} AND EXISTS ({LATER})"
    )
    where = sa.text(f"operator_id IS NOT NULL AND {LIVE}")
    op.create_index(
        "uq_live_operator",
        CONNECTS,
        ["meeting_uuid", "operator_id"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    op.drop_index("uq_live_operator", CONNECTS)
    op.execute(
        f"UPDATE {CONNECTS} SET product = 'session' "  # noqa: S608
        "WHERE product IN ('contact_center', 'phone')"
    )
    op.execute("DELETE FROM notifications WHERE event IN ('transcript_done', 'transcript_failed')")
    _replace_check(CONNECTS, "product", PRODUCTS[:3])
    _replace_check("notifications", "event", EVENTS[:4])
    op.drop_column("recordings", "archived_media")
    op.drop_column("webhook_events", "sent_at")
    for table, names in TEXT_COLUMNS.items():
        for name in names:
            op.drop_column(table, name)


def _replace_check(table: str, column: str, values: tuple[str, ...]) -> None:
    """Replace the check of a column's values. SQLite recreates the table for that, so its sequence
    is carried over: ids are never reused."""
    name = op.f(f"ck_{table}_{column}")
    condition = f"{column} IN ({', '.join(repr(value) for value in values)})"
    numbered = table == CONNECTS and op.get_context().dialect.name == "sqlite"
    last = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table").bindparams(table=table)
    seq = op.get_bind().scalar(last) if numbered else None
    with op.batch_alter_table(table, table_kwargs={"sqlite_autoincrement": numbered}) as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, condition)
    if seq is not None:
        op.get_bind().execute(
            sa.text("UPDATE sqlite_sequence SET seq = :seq WHERE name = :table"),
            {"seq": seq, "table": table},
        )
