"""The body that NOTIFY_URL receives. docs/NOTIFICATIONS.md documents its shape, which does not
change with the table's columns. Pure functions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

# Increased when a field is removed or changes its meaning, not when one is added.
VERSION = 1

MEETING_FIELDS = (
    "id",
    "rtms_stream_id",
    "meeting_uuid",
    "meeting_id",
    "product",
    "account_id",
    "operator_id",
    "host_id",
    "topic",
    "state",
    "reason",
    "recall_id",
    "status",
    "sub_code",
    "last_error",
    "received_at",
    "connected_at",
    "stopped_at",
    "stop_reason",
    "restarted_as",
    "restart_of",
    "gap_seconds",
)
RECORDING_FIELDS = (
    "id",
    "recall_recording_id",
    "status",
    "sub_code",
    "started_at",
    "completed_at",
    "expires_at",
    "media",
)

_NAMESPACE = uuid.UUID("7a1f0b52-3c0e-5d0b-9a53-2f6f0d6f4a11")  # random; must never change
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def body(
    event: str,
    created_at: datetime,
    meeting: Mapping[str, Any],
    recording: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the body of a notification. Its datetimes are still to be serialized.

    Args:
        event: one of `models.Happening`.
        created_at: when the event happened.
        meeting: a row of `meeting_direct_connects`, with its `restart_of` and `gap_seconds` (see
            `rtms.stream_gap.Restarts`).
        recording: the row of `recordings` that it is about, if any.
    """
    return {
        "type": event,
        "version": VERSION,
        "timestamp": created_at,
        "data": {
            "meeting": {name: meeting[name] for name in MEETING_FIELDS},
            "recording": recording and {name: recording[name] for name in RECORDING_FIELDS},
        },
    }


def message_id(
    *,
    notification_id: int,
    event: str,
    created_at: datetime,
    rtms_stream_id: str,
    received_at: datetime,
    recall_recording_id: str | None,
) -> str:
    """Return a `webhook-id`: every retry repeats it, and no other notification of this or another
    database has it (Standard Webhooks: unique identifier).

    Two databases may use the same row ids and receive the same stream. They do not receive or
    record it in the same microsecond, and Recall makes a separate recording for each.

    Args:
        notification_id: the row of `notifications`.
        event: one of `models.Happening`.
        created_at: when the notification was recorded; aware.
        rtms_stream_id: Zoom's id of the stream.
        received_at: when the stream's start was delivered; aware.
        recall_recording_id: of the recording that it is about, if any.
    """
    named = (
        rtms_stream_id,
        event,
        _microseconds(created_at),
        _microseconds(received_at),
        recall_recording_id or "",
        notification_id,
    )
    return f"msg_{uuid.uuid5(_NAMESPACE, repr(named)).hex}"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
