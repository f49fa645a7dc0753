"""The tables. What a person must know to understand a row is in the row; all times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# The Alembic revision these models describe; the server compares it with the database's.
SCHEMA_REVISION = "0007"


class State(StrEnum):
    """Where a connection stands: pending → connected → ended → done, or failed, or skipped."""

    PENDING = "pending"  # to be connected, or being connected
    CONNECTED = "connected"  # Recall has the stream
    ENDED = "ended"  # the stream is over, or a newer connection took its place
    DONE = "done"  # every recording has reached an end
    FAILED = "failed"
    SKIPPED = "skipped"  # nothing was to be done


class Reason(StrEnum):
    """Why a row is `failed` or `skipped`."""

    REFUSED = "refused"  # failed: Recall said no for good
    WINDOW_EXPIRED = "window_expired"  # failed: not connected while Zoom was waiting
    RECALL_FAILED = "recall_failed"  # failed: Recall says no recording will come
    STOPPED_FIRST = "stopped_first"  # skipped: the stream was over before it was connected
    UNSUPPORTED = "unsupported"  # skipped: a product whose streams Recall does not connect
    NOT_WANTED = "not_wanted"  # skipped: RECORD_STREAMS


class Product(StrEnum):
    """Which of Zoom's products a stream belongs to."""

    MEETING = "meeting"
    WEBINAR = "webinar"
    SESSION = "session"  # Video SDK
    CONTACT_CENTER = "contact_center"
    PHONE = "phone"


class Source(StrEnum):
    """Who sent a webhook event."""

    ZOOM = "zoom"
    RECALL = "recall"


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, on engines with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a datetime without a time zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UTCDateTime(), str: Text()}


def _where(condition: str) -> dict[str, Any]:
    """A partial index, the same on both engines."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _one_of(column: str, choices: type[StrEnum]) -> CheckConstraint:
    values = ", ".join(f"'{choice}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({values})", name=column)


# SQLite numbers rows by itself only where the key is an INTEGER.
_RowId = BigInteger().with_variant(Integer(), "sqlite")

# A connection that Zoom's stream is still waiting for or using. Zoom: one connection a stream.
LIVE_STATES = (State.PENDING, State.CONNECTED)
LIVE = "state IN ('pending', 'connected') AND stopped_at IS NULL"
# Likewise, of a user whom Zoom names.
LIVE_OF_A_USER = f"operator_id IS NOT NULL AND {LIVE}"
# The rows of each queue. Claims name their indexes on SQLite, so an index must stay for a release.
PENDING = "state = 'pending'"
FOLLOWED = "state <> 'pending' AND due_at IS NOT NULL"
UNSENT = "due_at IS NOT NULL"
TO_ARCHIVE = "archive_due_at IS NOT NULL"


class MeetingDirectConnect(Base):
    """One connection of one RTMS stream through Recall. The table is also the queue: a row knows
    when it wants attention (`due_at`) and who is giving it (`lease_owner`, `leased_until`)."""

    __tablename__ = "meeting_direct_connects"
    __table_args__ = (
        _one_of("state", State),
        _one_of("reason", Reason),
        _one_of("product", Product),
        CheckConstraint(
            "(reason IS NOT NULL) = (state IN ('failed', 'skipped'))", name="reason_given"
        ),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        CheckConstraint("state <> 'connected' OR recall_id IS NOT NULL", name="connected_has_id"),
        # A redelivery carries the same event_ts.
        UniqueConstraint("rtms_stream_id", "event_ts"),
        Index("uq_live_stream", "rtms_stream_id", unique=True, **_where(LIVE)),
        Index(
            "uq_live_slot",
            "meeting_slot",
            unique=True,
            **_where(f"meeting_slot IS NOT NULL AND {LIVE}"),
        ),
        # One live stream of a user in a meeting: the next one takes the older one's place.
        Index(
            "uq_live_operator",
            "meeting_uuid",
            "operator_id",
            unique=True,
            **_where(LIVE_OF_A_USER),
        ),
        Index("ix_pending", "connect_by", **_where(PENDING)),
        Index("ix_followed", "due_at", **_where(FOLLOWED)),
        Index("ix_state", "state", "id"),
        Index("ix_received_at", "received_at"),
        Index("ix_key_used_at", "key_used_at", **_where("key_used_at IS NOT NULL")),
        Index("ix_recall_id", "recall_id", **_where("recall_id IS NOT NULL")),
        # For people who search. Only what wants nothing any more is in them, so that no delivery
        # and no connect pays for it; the rest is few, and found by `due_at`.
        Index("ix_meeting_id", "meeting_id", "id", **_where("due_at IS NULL")),
        Index("ix_meeting_uuid", "meeting_uuid", "id", **_where("due_at IS NULL")),
        Index("ix_operator_id", "operator_id", "id", **_where("due_at IS NULL")),
        Index("ix_account_id", "account_id", "id", **_where("due_at IS NULL")),
        Index("ix_host_id", "host_id", "id", **_where("due_at IS NULL")),
        # Read from its end, row by row: a topic is searched for what it contains.
        Index("ix_topic", "id", "topic_search", **_where("topic_search IS NOT NULL")),
        Index("ix_superseded_by", "superseded_by", **_where("superseded_by IS NOT NULL")),
        # Recall's metadata names rows by id, so none is ever given out twice.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)

    # What Zoom said.
    rtms_stream_id: Mapped[str]
    meeting_uuid: Mapped[str]  # a webinar's UUID or a session's id stands here too
    meeting_id: Mapped[str | None]  # the number people know; a webinar's, too
    product: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str | None]  # whose meeting it is
    operator_id: Mapped[str | None]
    is_original_host: Mapped[bool | None]
    server_urls: Mapped[str]  # several are separated by commas
    event_ts: Mapped[int] = mapped_column(BigInteger)  # milliseconds since epoch, Zoom's clock
    tracking_id: Mapped[str | None]  # Zoom's x-zm-trackingid, to quote to its support

    # What the meeting is called, as `meeting.started` or Recall's `meeting_metadata` says.
    topic: Mapped[str | None]
    topic_search: Mapped[str | None]  # the topic as it is searched: see rtms/text.py
    host_id: Mapped[str | None]

    # Where it stands.
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    recall_id: Mapped[str | None]
    status: Mapped[str | None]  # as Recall last said it: an open set
    sub_code: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)  # tries whose outcome is known
    last_error: Mapped[str | None]
    superseded_by: Mapped[int | None] = mapped_column(ForeignKey("meeting_direct_connects.id"))
    # The meeting's UUID where only one live stream of a meeting is wanted (RECORD_STREAMS=first).
    meeting_slot: Mapped[str | None]

    # What it wants next.
    due_at: Mapped[datetime | None]
    connect_by: Mapped[datetime]  # when the window closes: no try after the first begins later
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    taken_over_from: Mapped[str | None]  # whose lease had run out when it was leased last
    idempotency_key: Mapped[str]  # of the next try, or of the one whose outcome is unknown
    # When a request with this key may first have left for Recall; null: never.
    key_used_at: Mapped[datetime | None]

    # Its life.
    received_at: Mapped[datetime]
    connected_at: Mapped[datetime | None]
    interrupted_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]  # by Zoom's clock
    stop_reason: Mapped[int | None]  # Zoom's number: an open set

    def __repr__(self) -> str:
        """What a person wants to know: which meeting, how it stands, and why."""
        words = [f"{self.product} {self.meeting_id or self.meeting_uuid}", str(self.state)]
        if self.reason:
            words.append(f"({self.reason})")
        if self.recall_id:
            words.append(f"recall_id={self.recall_id}")
        if self.status:
            words.append(f"status={self.status}")
        if self.received_at:
            words.append(f"received {self.received_at:%Y-%m-%d %H:%M:%S} UTC")
        return f"<MeetingDirectConnect {self.id}: {' '.join(words)}>"


class ConnectAttempt(Base):
    """A try to connect that did not: what Recall answered, or that it did not."""

    __tablename__ = "connect_attempts"
    __table_args__ = (Index("ix_attempts_connect", "meeting_direct_connect_id"),)

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    meeting_direct_connect_id: Mapped[int] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="CASCADE")
    )
    at: Mapped[datetime]  # when its outcome was written down
    # refused, rate_limited, not_done, unknown; or retried: a person put the row back
    outcome: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None]
    next_try_at: Mapped[datetime | None]  # null: it was the last

    def __repr__(self) -> str:
        return f"<ConnectAttempt {self.id}: {self.outcome}, {self.error}>"


class Recording(Base):
    """One recording that Recall made of a connection."""

    __tablename__ = "recordings"
    __table_args__ = (
        UniqueConstraint("recall_recording_id"),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        Index("ix_recordings_connect", "meeting_direct_connect_id"),
        Index("ix_recordings_archive", "archive_due_at", **_where(TO_ARCHIVE)),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    meeting_direct_connect_id: Mapped[int] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="CASCADE")
    )
    recall_recording_id: Mapped[str]
    status: Mapped[str]  # as Recall last said it: an open set
    sub_code: Mapped[str | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # when Recall deletes the media
    # Kind → status. Never a URL: a pre-signed link opens the media to whoever reads it.
    media: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)

    # Keeping it (ARCHIVE_URL).
    archive_due_at: Mapped[datetime | None]  # null: stored, given up, or not to be stored
    archived_at: Mapped[datetime | None]
    # The kinds that were stored; null: not stored yet, or by a version that did not say.
    archived_media: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    archive_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    archive_error: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind} {status}" for kind, status in (self.media or {}).items())
        return f"<Recording {self.id}: {self.recall_recording_id} {self.status} ({kinds})>"


class WebhookEvent(Base):
    """The raw record: what arrived, once each, and what was made of it."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        _one_of("source", Source),
        UniqueConstraint("source", "dedupe_key"),
        Index("ix_events_stream", "rtms_stream_id"),
        Index("ix_events_received_at", "received_at"),
        Index("ix_events_meeting_uuid", "meeting_uuid", **_where("meeting_uuid IS NOT NULL")),
        Index("ix_events_meeting_id", "meeting_id", **_where("meeting_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    event: Mapped[str]
    event_ts: Mapped[int | None] = mapped_column(BigInteger)  # milliseconds since epoch
    dedupe_key: Mapped[str]
    rtms_stream_id: Mapped[str | None]
    # The meeting that an event names which is about no stream.
    meeting_uuid: Mapped[str | None]
    meeting_id: Mapped[str | None]
    tracking_id: Mapped[str | None]
    # When Zoom sent it, by Zoom's clock (`x-zm-request-timestamp`).
    sent_at: Mapped[datetime | None]
    # The whole body. JSON and not JSONB: Zoom may send what JSONB cannot hold (NUL).
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    received_at: Mapped[datetime]
    outcome: Mapped[str]  # a word, and after a colon why

    def __repr__(self) -> str:
        at = f"{self.received_at:%Y-%m-%d %H:%M:%S} UTC" if self.received_at else "never"
        return f"<WebhookEvent {self.id}: {self.event} received {at}, {self.outcome}>"


class Happening(StrEnum):
    """What the user's own code is told about."""

    STREAM_CONNECTED = "stream_connected"
    STREAM_FAILED = "stream_failed"
    RECORDING_DONE = "recording_done"
    RECORDING_FAILED = "recording_failed"
    TRANSCRIPT_DONE = "transcript_done"
    TRANSCRIPT_FAILED = "transcript_failed"


class Listener(StrEnum):
    """Who is told."""

    SIGNALS = "signals"  # subscribers of rtms.signals
    NOTIFY_URL = "notify_url"


class Notification(Base):
    """Something the user's own code is to be told, written in the transaction in which it became
    true, and kept until it was told."""

    __tablename__ = "notifications"
    __table_args__ = (
        _one_of("event", Happening),
        _one_of("listener", Listener),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        Index("ix_notifications_due", "due_at", **_where(UNSENT)),
        Index("ix_notifications_connect", "meeting_direct_connect_id"),
        # Whoever deletes a recording deletes these: without it, by reading all there are.
        Index("ix_notifications_recording", "recording_id", **_where("recording_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    event: Mapped[str] = mapped_column(String(32))
    listener: Mapped[str] = mapped_column(String(16))
    meeting_direct_connect_id: Mapped[int] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="CASCADE")
    )
    recording_id: Mapped[int | None] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE")
    )
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]  # null: told, or given up
    told_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]

    def __repr__(self) -> str:
        stands = "told" if self.told_at else f"{self.attempts} tries"
        return f"<Notification {self.id}: {self.event} to {self.listener}, {stands}>"


class Gate(Base):
    """Recall's rate limit, shared by every process: while a gate is closed, nobody asks."""

    __tablename__ = "gates"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    closed_until: Mapped[datetime]

    # What Recall is believed to admit since it last refused: see rtms/recall/limit_estimate.py.
    creates: Mapped[int | None]
    seconds: Mapped[float | None]
    learned_at: Mapped[datetime | None]
    confirmed: Mapped[int | None]


class Process(Base):
    """A process of the server, as it last said: it is alive, and what only it can count."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # web or worker
    host: Mapped[str]
    pid: Mapped[int]
    dispatches: Mapped[bool]  # whether its dispatcher runs
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    counts: Mapped[list[Any]] = mapped_column(JSON, default=list)  # see rtms/web/metrics.py

    def __repr__(self) -> str:
        return f"<Process {self.name}: {self.kind}, seen {self.seen_at:%Y-%m-%d %H:%M:%S} UTC>"


class AdminSession(Base):
    """Somebody who gave the dashboard's password. Logging out deletes the row, and what the cookie
    says is worth nothing any more."""

    __tablename__ = "admin_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, in hex
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<AdminSession until {self.expires_at:%Y-%m-%d %H:%M:%S} UTC>"


class LoginFailure(Base):
    """Wrong passwords from one address: the more, the longer the next one must wait."""

    __tablename__ = "login_failures"

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    last_failed_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<LoginFailure {self.address}: {self.failures}>"


# The same tables for statements that need no object: the hot path and the queue use these.
CONNECTS = cast(Table, MeetingDirectConnect.__table__)
RECORDINGS = cast(Table, Recording.__table__)
EVENTS = cast(Table, WebhookEvent.__table__)
NOTIFICATIONS = cast(Table, Notification.__table__)
GATES = cast(Table, Gate.__table__)
ATTEMPTS = cast(Table, ConnectAttempt.__table__)
PROCESSES = cast(Table, Process.__table__)
ADMIN_SESSIONS = cast(Table, AdminSession.__table__)
LOGIN_FAILURES = cast(Table, LoginFailure.__table__)
