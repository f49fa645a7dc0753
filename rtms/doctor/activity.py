"""Checks the processes, the meetings that wait, the deliveries and Recall's rate limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, EVENTS, GATES, RECORDINGS, Source, State
from rtms import clock
from rtms.db.database import AnyRow
from rtms.db.errors import DatabaseUnavailable
from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.monitoring import heartbeat
from rtms.recall import rate_limit
from rtms.services import Services

_LATE = timedelta(seconds=15)  # a row that is due is normally claimed within a second
_LATE_LOOKUP = timedelta(minutes=15)  # lookups wait for their turn at Recall
_RECENTLY = timedelta(hours=24)
_REFUSED = ["rtms_deliveries_refused", "recall", "401"]  # the key in `counters.Counts`
_MOST_NAMED = 3  # rows


@dataclass(frozen=True, kw_only=True)
class MeetingCounts:
    """The meetings that wait, are late or failed, and the last delivery."""

    pending: int
    overdue: Sequence[AnyRow]  # pending, due, and claimed by no process
    unfollowed: int  # connected or over, with an overdue lookup at Recall
    failed: dict[str, int]  # in the last day, by reason
    unstored: int  # recordings that failed to be archived the last time
    paused_until: dict[str, datetime]  # by rate limit (GATES.name)
    last_delivery: datetime | None
    now: datetime


def look_at_processes(services: Services) -> Iterator[Finding]:
    """Check that processes receive and connect, by their heartbeats of the last minute."""
    try:
        with services.database.read() as connection:
            rows = heartbeat.living(connection, now=clock.now())
    except DatabaseUnavailable as error:
        yield warning("processes", f"Could not be counted: {error}", "Fix the database first.")
        return
    web = sum(row.kind == "web" for row in rows)
    workers = sum(row.kind == "worker" for row in rows)
    connecting = sum(row.dispatches for row in rows)
    yield judge_processes(web, workers, connecting, dispatcher=services.config.dispatcher)
    refused = sum(
        count for row in rows for name, labels, count in row.counts if [name, *labels] == _REFUSED
    )
    if refused and services.config.recall_webhook_secrets:
        yield judge_refused(refused)


def judge_refused(count: int) -> Finding:
    """Return what to do about status webhooks of Recall that were refused.

    Args:
        count: refused with 401 by the running processes.
    """
    return warning(
        "Recall's webhooks",
        f"{count} calls of /recall-webhook were refused (401): not signed, or with another secret.",
        "Create a workspace secret in Recall's dashboard (page API keys): without one Recall signs "
        "nothing. Set RECALL_WEBHOOK_SECRET to it and restart. The log says why each was refused.",
    )


def judge_processes(web: int, workers: int, connecting: int, *, dispatcher: bool) -> Finding:
    """Return whether there are processes that receive and processes that connect.

    Args:
        web: running web processes.
        workers: running workers.
        connecting: how many of both connect streams.
        dispatcher: whether web processes should connect (DISPATCHER).
    """
    found = f"Running: {web} web processes and {workers} workers; {connecting} connect streams."
    if not connecting and not dispatcher:
        return failure(
            "processes",
            f"{found} DISPATCHER is off and no worker runs, so no meeting is connected.",
            "Start at least one `flask worker`, or set DISPATCHER=on.",
        )
    if not web:
        return warning(
            "processes",
            f"{found} No process receives Zoom's deliveries.",
            "Start the server: `make run`, or `gunicorn app:app`. If it is running, it uses "
            "another DATABASE_URL than this command.",
        )
    if not connecting:
        return failure(
            "processes",
            f"{found} Deliveries are accepted, but no process connects them.",
            "Start the server with `gunicorn app:app` (`flask run` connects nothing), or run "
            "`flask worker` beside it.",
        )
    return ok("processes", found)


def look_at_meetings(services: Services) -> Iterator[Finding]:
    """Check what waits, what failed, and when Zoom last delivered."""
    try:
        with services.database.read() as connection:
            counts = _counts(connection, clock.now())
    except DatabaseUnavailable as error:
        yield warning("meetings", f"Could not be checked: {error}", "Fix the database first.")
        return
    yield from judge_meetings(counts)


def judge_meetings(counts: MeetingCounts) -> Iterator[Finding]:
    """Yield what needs attention."""
    yield _judge_pending(counts)
    if counts.unfollowed:
        yield warning(
            "meetings",
            f"{counts.unfollowed} lookups of meetings at Recall are more than "
            f"{_LATE_LOOKUP // timedelta(minutes=1)} minutes late.",
            "Check that a process that connects is running, or raise RECALL_RETRIEVES_PER_MINUTE "
            "if Recall allows it. No recording is lost meanwhile.",
        )
    if counts.failed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.failed.items())
        yield warning(
            "meetings",
            f"Failed in the last 24 hours: {reasons}.",
            "`flask meetings list --state failed --since 24h`, then `flask meetings "
            "show ID`, say why each failed and what to do.",
        )
    if counts.unstored:
        yield warning(
            "archive",
            f"{counts.unstored} recordings could not be archived at the last attempt.",
            "`flask meetings list --state done`, then archive_error in `flask meetings show ID`, "
            "say why. They are retried automatically.",
        )
    for name, until in counts.paused_until.items():
        yield warning(
            "rate limit",
            f"Recall asked for a pause: no {name} is sent before {until:%H:%M:%S} UTC.",
            "Waiting calls are sent after that, even if late. If it happens often, ask Recall to "
            "raise the limit.",
        )
    yield _judge_last_delivery(counts)


def _judge_pending(counts: MeetingCounts) -> Finding:
    if rate_limit.CREATE_GATE in counts.paused_until and counts.pending:
        return ok("meetings", f"{counts.pending} meetings wait for the end of Recall's pause.")
    if not counts.overdue:
        return ok("meetings", f"{counts.pending} meetings are being connected, and none is late.")
    named = ", ".join(
        f"{row.id} ({row.meeting_id or row.meeting_uuid}, received {row.received_at:%H:%M:%S} UTC)"
        for row in counts.overdue[:_MOST_NAMED]
    )
    more = len(counts.overdue) - _MOST_NAMED
    return failure(
        "meetings",
        f"No process connects the due meetings. {counts.pending} are pending. Late: {named}"
        + (f" and {more} more." if more > 0 else "."),
        "Check that the server or a worker runs, and its log. Zoom waits 60 seconds for each.",
    )


def _judge_last_delivery(counts: MeetingCounts) -> Finding:
    if counts.last_delivery is None:
        return warning(
            "deliveries",
            "Zoom has not delivered anything yet.",
            "If this installation is new, start a meeting. Otherwise see "
            "docs/TROUBLESHOOTING.md#a-meeting-starts-and-nothing-arrives.",
        )
    ago = counts.now - counts.last_delivery
    return ok(
        "deliveries",
        f"Zoom last delivered at {counts.last_delivery:%Y-%m-%d %H:%M:%S} UTC, {_span(ago)} ago.",
    )


def _counts(connection: Connection, now: datetime) -> MeetingCounts:
    is_pending = CONNECTS.c.state == State.PENDING
    paused = {
        row.name: row.closed_until
        for row in connection.execute(sa.select(GATES).where(GATES.c.closed_until > now))
    }
    room, _ = rate_limit.peek_room_for_creates(connection, now=now)
    overdue = connection.execute(
        sa.select(
            CONNECTS.c.id, CONNECTS.c.meeting_id, CONNECTS.c.meeting_uuid, CONNECTS.c.received_at
        )
        .where(
            is_pending,
            CONNECTS.c.due_at < now - _LATE,
            sa.or_(CONNECTS.c.leased_until.is_(None), CONNECTS.c.leased_until < now - _LATE),
        )
        .order_by(CONNECTS.c.connect_by)
        .limit(1000)
    ).all()
    failed = connection.execute(
        sa.select(CONNECTS.c.reason, sa.func.count())
        .where(CONNECTS.c.state == State.FAILED, CONNECTS.c.received_at > now - _RECENTLY)
        .group_by(CONNECTS.c.reason)
        .order_by(CONNECTS.c.reason)
    )
    return MeetingCounts(
        pending=_count(connection, CONNECTS, is_pending),
        overdue=[] if room == 0 else overdue,  # without room they have to wait
        unfollowed=_count(
            connection,
            CONNECTS,
            sa.and_(CONNECTS.c.state != State.PENDING, CONNECTS.c.due_at < now - _LATE_LOOKUP),
        ),
        failed={row[0]: row[1] for row in failed},
        unstored=_count(
            connection,
            RECORDINGS,
            sa.and_(
                RECORDINGS.c.archive_due_at.is_not(None), RECORDINGS.c.archive_error.is_not(None)
            ),
        ),
        paused_until=paused,
        last_delivery=connection.scalar(
            sa.select(EVENTS.c.received_at)
            .where(EVENTS.c.source == Source.ZOOM)
            .order_by(EVENTS.c.received_at.desc())
            .limit(1)
        ),
        now=now,
    )


def _count(connection: Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(which)) or 0


def _span(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0)
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    whole = round(seconds)
    return f"{whole} second{'' if whole == 1 else 's'}"
