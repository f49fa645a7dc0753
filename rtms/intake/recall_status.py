"""Recall's status webhooks: each makes a direct connect due to be retrieved now.

They arrive at least once and in any order (Recall: status webhooks), so their content is not
trusted: the retrieve decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from standardwebhooks import Webhook, WebhookVerificationError

from models import CONNECTS, RECORDINGS, Source, State
from rtms import clock
from rtms.db.database import AnyRow, Database
from rtms.intake.event_log import record_once
from rtms.payload import BadSignature

_MAX_ID = 255  # characters


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Which row a status webhook is about, by any of three identifiers."""

    recall_id: str | None
    recording_id: str | None
    row_id: int | None  # from our metadata; valid only together with the stream, because
    rtms_stream_id: str | None  # another server of the same workspace may use the same row id


def verify(secrets: Sequence[str], headers: Mapping[str, str], raw: bytes) -> str:
    """Check a status webhook's signature and age (Standard Webhooks).

    Args:
        secrets: `whsec_...`, several while one is rotated.
        headers: with names in lower case: `webhook-id`, `webhook-timestamp`, `webhook-signature`,
            or the same as `svix-*` from workspaces created before 15 December 2025.
        raw: the body's bytes as received.

    Returns:
        The message id, which every redelivery repeats.

    Raises:
        BadSignature: the signature is missing, more than five minutes off, or does not match.
    """
    names = ("id", "timestamp", "signature")
    prefix = "webhook" if "webhook-id" in headers else "svix"
    given = {f"webhook-{name}": headers.get(f"{prefix}-{name}", "") for name in names}
    if not any(given.values()):
        raise BadSignature(
            "The webhook is not signed: the headers webhook-id, webhook-timestamp and "
            "webhook-signature are missing. If Recall sent it, create the workspace secret in "
            "Recall's dashboard (page API keys): Recall signs webhooks only if there is one. Then "
            "set RECALL_WEBHOOK_SECRET to it and restart."
        )
    if not all(given.values()):
        raise BadSignature(
            "One of the headers webhook-id, webhook-timestamp and webhook-signature is missing: "
            "only Recall's signed webhooks are accepted."
        )
    for secret in secrets:
        try:
            Webhook(secret).verify(raw, given, json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: malformed
            continue
        return given["webhook-id"][:_MAX_ID]
    raise BadSignature(
        "The signature does not match, or the clocks are more than five minutes apart. If Recall "
        "sent this, RECALL_WEBHOOK_SECRET is not this endpoint's secret."
    )


def read(body: Mapping[str, Any]) -> Hint:
    """Return which row a status webhook is about. Unknown events and shapes give an empty hint."""
    data = _object(body, "data")
    recording = _object(data, "recording")
    # Not documented for Direct Connect, so used if present and never required.
    direct_connect = _object(data, "meeting_direct_connect")
    metadata = _object(direct_connect, "metadata") | _object(recording, "metadata")
    row_id = _text(metadata, "meeting_direct_connect_id") or ""
    return Hint(
        recall_id=_text(direct_connect, "id"),
        recording_id=_text(recording, "id"),
        row_id=int(row_id) if row_id.isascii() and row_id.isdigit() and len(row_id) < 19 else None,
        rtms_stream_id=_text(metadata, "rtms_stream_id"),
    )


def take(database: Database, body: dict[str, Any], message_id: str) -> AnyRow | None:
    """Record a status webhook once, and make the row it is about due now.

    Args:
        body: decoded and verified.
        message_id: the `webhook-id`, which every redelivery repeats.

    Returns:
        The row (id, rtms_stream_id, tracking_id); None for a redelivery or an unknown row.

    Raises:
        DatabaseUnavailable: nothing was recorded; answer so that Recall delivers it again.
    """
    hint = read(body)
    now = clock.now()

    def job(connection: Connection) -> AnyRow | None:
        row = connection.execute(_row_of(hint)).first() if any(vars(hint).values()) else None
        event = {
            "source": Source.RECALL,
            "event": body["event"],
            "dedupe_key": message_id,
            "rtms_stream_id": row.rtms_stream_id if row else None,
            "payload": _without_links(body),
            "received_at": now,
            "outcome": "accepted: Recall is asked about the meeting now"
            if row
            else "unknown: no meeting here matches it",
        }
        if not record_once(connection, event) or row is None:
            return None
        connection.execute(
            CONNECTS.update()
            .where(CONNECTS.c.id == row.id, CONNECTS.c.state != State.PENDING)
            .values(due_at=now)
        )
        return row

    return database.write(job)


def _row_of(hint: Hint) -> sa.Select[Any]:
    by_recording = sa.select(RECORDINGS.c.meeting_direct_connect_id).where(
        RECORDINGS.c.recall_recording_id == hint.recording_id
    )
    ways = [
        CONNECTS.c.recall_id == hint.recall_id if hint.recall_id else None,
        CONNECTS.c.id.in_(by_recording) if hint.recording_id else None,
        sa.and_(CONNECTS.c.id == hint.row_id, CONNECTS.c.rtms_stream_id == hint.rtms_stream_id)
        if hint.row_id and hint.rtms_stream_id
        else None,
    ]
    return (
        sa.select(CONNECTS.c.id, CONNECTS.c.rtms_stream_id, CONNECTS.c.tracking_id)
        .where(
            CONNECTS.c.recall_id.is_not(None),
            sa.or_(sa.false(), *(way for way in ways if way is not None)),
        )
        .limit(1)
    )


def _without_links(value: Any) -> Any:
    """Return a body without its pre-signed links, which give access to the media."""
    if isinstance(value, dict):
        return {
            name: "[link left out]" if name.lower().endswith("url") else _without_links(one)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_without_links(one) for one in value]
    return value


def _object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name)
    sound = isinstance(value, str) and 0 < len(value) <= _MAX_ID and value.isprintable()
    return value if sound else None
