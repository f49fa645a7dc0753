"""The tables. All times are UTC."""

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

# The Alembic revision of these models. The server compares it with the database's.
SCHEMA_REVISION = "0010"


class State(StrEnum):
    """The state of a connection: pending → connected → ended → done, or failed, or skipped."""

    PENDING = "pending"  # to be connected, or being connected
    CONNECTED = "connected"  # Recall has the stream
    ENDED = "ended"  # the stream is over, or a newer connection replaced this one
    DONE = "done"  # every recording is ready or has failed
    FAILED = "failed"
    SKIPPED = "skipped"  # there was nothing to do


class Reason(StrEnum):
    """Why a row is `failed` or `skipped`."""

    REFUSED = "refused"  # failed: Recall refused permanently
    WINDOW_EXPIRED = "window_expired"  # failed: not connected while Zoom was waiting
    RECALL_FAILED = "recall_failed"  # failed: Recall says there will be no recording
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
    """Return the condition of a partial index, for both engines."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _one_of(column: str, choices: type[StrEnum]) -> CheckConstraint:
    values = ", ".join(f"'{choice}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({values})", name=column)


# SQLite generates ids only if the key is an INTEGER.
_RowId = BigInteger().with_variant(Integer(), "sqlite")

# The stream is waiting for this connection, or uses it. Zoom allows one connection per stream.
LIVE_STATES = (State.PENDING, State.CONNECTED)
LIVE = "state IN ('pending', 'connected') AND stopped_at IS NULL"
# The same, for streams whose user Zoom names.
LIVE_OF_A_USER = f"operator_id IS NOT NULL AND {LIVE}"
# The rows of each queue. Leases name their indexes on SQLite, so an index must stay for a release.
PENDING = "state = 'pending'"
FOLLOWED = "state <> 'pending' AND due_at IS NOT NULL"
UNSENT = "due_at IS NOT NULL"
TO_ARCHIVE = "archive_due_at IS NOT NULL"
OPEN_REQUEST = "state IN ('waiting', 'accepted')"
TO_ERASE = "state = 'waiting'"


class MeetingDirectConnect(Base):
    """A connection of an RTMS stream through Recall. The table is also the queue: a row says when
    it is due (`due_at`), and which process works on it (`lease_owner`, `leased_until`)."""

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
        # One live stream of a user in a meeting: the next one replaces it.
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
        # For searching. They contain only settled rows, so that deliveries and connects do not pay
        # for them. The others are few, and found by `due_at`.
        Index("ix_meeting_id", "meeting_id", "id", **_where("due_at IS NULL")),
        Index("ix_meeting_uuid", "meeting_uuid", "id", **_where("due_at IS NULL")),
        Index("ix_operator_id", "operator_id", "id", **_where("due_at IS NULL")),
        Index("ix_account_id", "account_id", "id", **_where("due_at IS NULL")),
        Index("ix_host_id", "host_id", "id", **_where("due_at IS NULL")),
        # Scanned from its end, because topics are searched for substrings.
        Index("ix_topic", "id", "topic_search", **_where("topic_search IS NOT NULL")),
        Index("ix_restarted_as", "restarted_as", **_where("restarted_as IS NOT NULL")),
        Index("ix_superseded_by", "superseded_by", **_where("superseded_by IS NOT NULL")),
        # Recall's metadata refers to rows by id, so ids must never be reused.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)

    # From Zoom.
    rtms_stream_id: Mapped[str]
    meeting_uuid: Mapped[str]  # or a webinar's UUID, or a session's id
    meeting_id: Mapped[str | None]  # the number that users see; also a webinar's
    product: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str | None]  # the account that the meeting belongs to
    operator_id: Mapped[str | None]
    is_original_host: Mapped[bool | None]
    server_urls: Mapped[str]  # comma-separated
    event_ts: Mapped[int] = mapped_column(BigInteger)  # milliseconds since epoch, Zoom's clock
    tracking_id: Mapped[str | None]  # Zoom's x-zm-trackingid; its support asks for it

    # From `meeting.started` or from Recall's `meeting_metadata`.
    topic: Mapped[str | None]
    topic_search: Mapped[str | None]  # the topic in its form for searching: see rtms/text.py
    host_id: Mapped[str | None]

    # The state.
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    recall_id: Mapped[str | None]
    status: Mapped[str | None]  # as last reported by Recall: an open set
    sub_code: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)  # tries whose outcome is known
    last_error: Mapped[str | None]
    superseded_by: Mapped[int | None] = mapped_column(ForeignKey("meeting_direct_connects.id"))
    # The row of the stream that was started in place of this lost one.
    restarted_as: Mapped[int | None] = mapped_column(ForeignKey("meeting_direct_connects.id"))
    # The meeting's UUID if it may have only one live stream (RECORD_STREAMS=first).
    meeting_slot: Mapped[str | None]

    # The next step.
    due_at: Mapped[datetime | None]
    connect_by: Mapped[datetime]  # when the window closes: no try after the first begins later
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    taken_over_from: Mapped[str | None]  # the owner whose lease had expired at the last lease
    idempotency_key: Mapped[str]  # of the next try, or of a try with an unknown outcome
    # When a request with this key may first have been sent; null: never.
    key_used_at: Mapped[datetime | None]

    # Times.
    received_at: Mapped[datetime]
    connected_at: Mapped[datetime | None]
    interrupted_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]  # by Zoom's clock
    stop_reason: Mapped[int | None]  # Zoom's number: an open set

    def __repr__(self) -> str:
        """Return the meeting, its state and the reason."""
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
    """A failed try to connect, with Recall's answer if there was one."""

    __tablename__ = "connect_attempts"
    __table_args__ = (Index("ix_attempts_connect", "meeting_direct_connect_id"),)

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    meeting_direct_connect_id: Mapped[int] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="CASCADE")
    )
    at: Mapped[datetime]  # when its outcome was recorded
    # refused, rate_limited, not_done, unknown; or retried: an operator queued the row again
    outcome: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None]
    next_try_at: Mapped[datetime | None]  # null: it was the last try

    def __repr__(self) -> str:
        return f"<ConnectAttempt {self.id}: {self.outcome}, {self.error}>"


class Recording(Base):
    """A recording that Recall made of a connection."""

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
    status: Mapped[str]  # as last reported by Recall: an open set
    sub_code: Mapped[str | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # when Recall deletes the media
    # Kind → status. Never a URL: anyone with a pre-signed link can read the media.
    media: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)

    # Archiving (ARCHIVE_URL).
    archive_due_at: Mapped[datetime | None]  # null: archived, given up, or not to be archived
    archived_at: Mapped[datetime | None]
    # The kinds that were archived; null: none yet, or archived by a version that did not say.
    archived_media: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    archive_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    archive_error: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind} {status}" for kind, status in (self.media or {}).items())
        return f"<Recording {self.id}: {self.recall_recording_id} {self.status} ({kinds})>"


class WebhookEvent(Base):
    """An event as it was received, stored once, with its outcome."""

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
    # The meeting of an event that is not about a stream.
    meeting_uuid: Mapped[str | None]
    meeting_id: Mapped[str | None]
    tracking_id: Mapped[str | None]
    # When Zoom sent it, by Zoom's clock (`x-zm-request-timestamp`).
    sent_at: Mapped[datetime | None]
    # The whole body. JSON and not JSONB, which cannot store a NUL.
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    received_at: Mapped[datetime]
    outcome: Mapped[str]  # a word, and after a colon the reason

    def __repr__(self) -> str:
        at = f"{self.received_at:%Y-%m-%d %H:%M:%S} UTC" if self.received_at else "never"
        return f"<WebhookEvent {self.id}: {self.event} received {at}, {self.outcome}>"


class Happening(StrEnum):
    """The events of which the user's own code is notified."""

    STREAM_CONNECTED = "stream_connected"
    STREAM_FAILED = "stream_failed"
    RECORDING_DONE = "recording_done"
    RECORDING_FAILED = "recording_failed"
    TRANSCRIPT_DONE = "transcript_done"
    TRANSCRIPT_FAILED = "transcript_failed"


class Listener(StrEnum):
    """The destinations of notifications."""

    SIGNALS = "signals"  # subscribers of rtms.signals
    NOTIFY_URL = "notify_url"


class Notification(Base):
    """A notification for the user's own code. It is written in the transaction of the event, and
    kept until it is delivered."""

    __tablename__ = "notifications"
    __table_args__ = (
        _one_of("event", Happening),
        _one_of("listener", Listener),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        Index("ix_notifications_due", "due_at", **_where(UNSENT)),
        Index("ix_notifications_connect", "meeting_direct_connect_id"),
        # Deleting a recording deletes these. Without this index, it would read the whole table.
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
    due_at: Mapped[datetime | None]  # null: delivered, or given up
    told_at: Mapped[datetime | None]  # when it was delivered
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]

    def __repr__(self) -> str:
        progress = "delivered" if self.told_at else f"{self.attempts} tries"
        return f"<Notification {self.id}: {self.event} to {self.listener}, {progress}>"


class RequestAction(StrEnum):
    """What Zoom is asked to do with a meeting's stream."""

    START = "start"
    STOP = "stop"


class RequestCause(StrEnum):
    """Why Zoom is asked for a stream."""

    WINDOW_EXPIRED = "window_expired"  # it was not connected while Zoom was waiting
    STREAM_FAULT = "stream_fault"  # it stopped because of a fault
    NEVER_CAME = "never_came"  # the meeting started, and its stream did not (START_STREAMS)
    OUTAGE = "outage"  # it was lost while this server was down
    BY_HAND = "by_hand"  # a person asked


class RequestState(StrEnum):
    """The state of a request to Zoom: waiting → accepted → fulfilled, or refused and so on."""

    WAITING = "waiting"  # to be sent
    ACCEPTED = "accepted"  # Zoom accepted it; the stream has not started yet
    FULFILLED = "fulfilled"  # the stream started (or stopped)
    REFUSED = "refused"  # Zoom refused permanently
    WITHDRAWN = "withdrawn"  # the meeting ended, or a stream came by itself
    GIVEN_UP = "given_up"  # asked for long enough, or often enough


class StreamRequest(Base):
    """A request to Zoom to start or stop a meeting's stream. The table is also a queue."""

    __tablename__ = "stream_requests"
    __table_args__ = (
        _one_of("action", RequestAction),
        _one_of("cause", RequestCause),
        _one_of("state", RequestState),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        CheckConstraint(f"(due_at IS NOT NULL) = ({OPEN_REQUEST})", name="open_is_due"),
        # One open request for a user in a meeting, whichever processes see the cause.
        Index(
            "uq_open_request",
            "meeting_id",
            "operator_id",
            unique=True,
            **_where(OPEN_REQUEST),
        ),
        Index("ix_requests_due", "due_at", **_where(OPEN_REQUEST)),
        Index("ix_requests_created_at", "created_at"),
        Index("ix_requests_meeting_uuid", "meeting_uuid"),
        Index("ix_requests_replaces", "replaces"),
        Index("ix_requests_led_to", "led_to"),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    action: Mapped[str] = mapped_column(String(8))
    cause: Mapped[str] = mapped_column(String(16))
    meeting_id: Mapped[str]  # the number, by which Zoom's API knows the meeting
    meeting_uuid: Mapped[str | None]  # null: only the number is known
    account_id: Mapped[str | None]
    operator_id: Mapped[str]  # the user to start it for; empty: Zoom chooses
    state: Mapped[str] = mapped_column(String(16), default=RequestState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    # Zoom's answers in a row that there is no such live meeting.
    not_live: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # the last time that it was sent to Zoom
    due_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    # The lost stream that it is to replace, and the stream that it led to.
    replaces: Mapped[int | None] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="SET NULL")
    )
    led_to: Mapped[int | None] = mapped_column(
        ForeignKey("meeting_direct_connects.id", ondelete="SET NULL")
    )

    def __repr__(self) -> str:
        return f"<StreamRequest {self.id}: {self.action} meeting {self.meeting_id}, {self.state}>"


class ErasureState(StrEnum):
    """The state of an erasure."""

    WAITING = "waiting"  # to be done, or being done
    DONE = "done"
    FAILED = "failed"  # given up after ten days


class Erasure(Base):
    """An erasure of what is stored of a user who removed the app. The table is also a queue. The
    row is kept as the proof, and is the only one that still names the user."""

    __tablename__ = "erasures"
    __table_args__ = (
        _one_of("state", ErasureState),
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        CheckConstraint(f"(due_at IS NOT NULL) = ({TO_ERASE})", name="waiting_is_due"),
        # Zoom repeats a deauthorization.
        UniqueConstraint("zoom_user_id", "deauthorized_at"),
        Index("ix_erasures_due", "due_at", **_where(TO_ERASE)),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    zoom_user_id: Mapped[str]
    account_id: Mapped[str | None]
    deauthorized_at: Mapped[datetime]  # by Zoom's clock; of one by hand, when it was requested
    state: Mapped[str] = mapped_column(String(16), default=ErasureState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    requested_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    # What was erased: meetings, recordings, files, events and so on → how many.
    counts: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)

    def __repr__(self) -> str:
        return f"<Erasure {self.id}: {self.state}, requested {self.requested_at}>"


class ZoomUser(Base):
    """A user who installed the app, and the user's tokens. A lease says which process
    refreshes them: Zoom accepts a refresh token once."""

    __tablename__ = "zoom_users"
    __table_args__ = (
        CheckConstraint("(lease_owner IS NULL) = (leased_until IS NULL)", name="lease_whole"),
        UniqueConstraint("zoom_user_id"),
        Index("ix_zoom_users_account", "account_id"),
    )

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    zoom_user_id: Mapped[str]
    account_id: Mapped[str]
    access_token: Mapped[str]  # encrypted, as the next: see rtms/zoom_users/encryption.py
    refresh_token: Mapped[str]
    expires_at: Mapped[datetime]  # when the access token ends
    must_install_again: Mapped[bool]  # Zoom no longer accepts the tokens, or no key decrypts them
    last_error: Mapped[str | None]
    installed_at: Mapped[datetime]
    refreshed_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]

    def __repr__(self) -> str:
        return f"<ZoomUser {self.id}: {self.zoom_user_id}, account {self.account_id}>"


class Gate(Base):
    """Recall's rate limit, shared by all processes. While a gate is closed, none calls Recall."""

    __tablename__ = "gates"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    closed_until: Mapped[datetime]

    # The estimated limit since Recall last refused: see rtms/recall/limit_estimate.py.
    creates: Mapped[int | None]
    seconds: Mapped[float | None]
    learned_at: Mapped[datetime | None]
    confirmed: Mapped[int | None]


class Process(Base):
    """The last report of a process: that it is alive, and its counters."""

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
    """A login to the dashboard. Logging out deletes the row, which invalidates the cookie."""

    __tablename__ = "admin_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, in hex
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<AdminSession until {self.expires_at:%Y-%m-%d %H:%M:%S} UTC>"


class LoginFailure(Base):
    """Wrong passwords from an address. The more there are, the longer the next try must wait."""

    __tablename__ = "login_failures"

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    last_failed_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"<LoginFailure {self.address}: {self.failures}>"


# The tables for statements without ORM objects, which the hot path and the queue use.
CONNECTS = cast(Table, MeetingDirectConnect.__table__)
RECORDINGS = cast(Table, Recording.__table__)
EVENTS = cast(Table, WebhookEvent.__table__)
NOTIFICATIONS = cast(Table, Notification.__table__)
STREAM_REQUESTS = cast(Table, StreamRequest.__table__)
ERASURES = cast(Table, Erasure.__table__)
ZOOM_USERS = cast(Table, ZoomUser.__table__)
GATES = cast(Table, Gate.__table__)
ATTEMPTS = cast(Table, ConnectAttempt.__table__)
PROCESSES = cast(Table, Process.__table__)
ADMIN_SESSIONS = cast(Table, AdminSession.__table__)
LOGIN_FAILURES = cast(Table, LoginFailure.__table__)
