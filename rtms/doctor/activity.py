"""Who is at work, and what waits: processes, meetings, deliveries, and Recall's gates."""

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

_LATE = timedelta(seconds=15)  # a row that is due is claimed within a second or so
_LOOKED_UP_LATE = timedelta(minutes=15)  # what is followed may wait for its turn at Recall
_RECENTLY = timedelta(hours=24)
_REFUSED = ["rtms_deliveries_refused", "recall", "401"]  # as `counters.Counts` counts them
_FEW = 3  # rows that are named


@dataclass(frozen=True, kw_only=True)
class PendingStreams:
    """What is to be done, and by when it should have been."""

    pending: int
    overdue: Sequence[AnyRow]  # pending, and nobody takes them
    unfollowed: int  # connected or over, and nobody has asked Recall for too long
    failed: dict[str, int]  # in the last day, by reason
    unstored: int  # recordings whose last try to be archived failed
    gates: dict[str, datetime]  # closed, until when
    last_delivery: datetime | None
    now: datetime


def look_at_processes(its: Services) -> Iterator[Finding]:
    """Who has said within a minute that it is alive."""
    about = "processes"
    try:
        with its.database.read() as connection:
            rows = heartbeat.living(connection, now=clock.now())
    except DatabaseUnavailable as error:
        yield warning(about, f"Could not be counted: {error}", "Mend the database first.")
        return
    web = sum(row.kind == "web" for row in rows)
    workers = sum(row.kind == "worker" for row in rows)
    connecting = sum(row.dispatches for row in rows)
    yield judge_processes(web, workers, connecting, dispatcher=its.config.dispatcher)
    refused = sum(
        count for row in rows for name, labels, count in row.counts if [name, *labels] == _REFUSED
    )
    if refused and its.config.recall_webhook_secrets:
        yield judge_refused(refused)


def judge_refused(count: int) -> Finding:
    """Why Recall's status webhooks are refused.

    Args:
        count: those that the living processes refused with 401.
    """
    return warning(
        "Recall's webhooks",
        f"{count} calls of /recall-webhook were refused (401): not signed, or with another secret.",
        "Create Recall's workspace secret first (its dashboard, page API keys): without one Recall "
        "signs nothing. Set RECALL_WEBHOOK_SECRET to it and restart. The log names each cause.",
    )


def judge_processes(web: int, workers: int, connecting: int, *, dispatcher: bool) -> Finding:
    """Whether somebody receives, and somebody connects.

    Args:
        web: web processes that are alive.
        workers: workers that are alive.
        connecting: how many of both connect streams.
        dispatcher: whether web processes are to connect (DISPATCHER).
    """
    found = f"Alive within a minute: {web} web processes, {workers} workers; {connecting} connect."
    if not connecting and not dispatcher:
        return failure(
            "processes",
            f"{found} DISPATCHER is off, and no worker runs: no meeting is connected.",
            "Start at least one `flask worker`, or set DISPATCHER=on.",
        )
    if not web:
        return warning(
            "processes",
            f"{found} Nobody receives what Zoom sends.",
            "Start the server: `make run`, or `gunicorn app:app`. If it runs, this DATABASE_URL is "
            "not the server's.",
        )
    if not connecting:
        return failure(
            "processes",
            f"{found} Deliveries are taken in, and nobody connects them.",
            "Start the server with `gunicorn app:app` (`flask run` connects nothing), or run "
            "`flask worker` beside it.",
        )
    return ok("processes", found)


def look_at_meetings(its: Services) -> Iterator[Finding]:
    """What waits, what failed, and when Zoom was last heard of."""
    try:
        with its.database.read() as connection:
            waiting = _waiting(connection, clock.now())
    except DatabaseUnavailable as error:
        yield warning("meetings", f"Could not be looked at: {error}", "Mend the database first.")
        return
    yield from judge_meetings(waiting)


def judge_meetings(waiting: PendingStreams) -> Iterator[Finding]:
    """What about it needs somebody."""
    yield _judge_pending(waiting)
    if waiting.unfollowed:
        yield warning(
            "meetings",
            f"{waiting.unfollowed} meetings should have been looked up at Recall for "
            f"{_minutes(_LOOKED_UP_LATE)} and more.",
            "Raise RECALL_RETRIEVES_PER_MINUTE if Recall allows it, or see whether a process that "
            "connects is alive. No recording is lost by it.",
        )
    if waiting.failed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in waiting.failed.items())
        yield warning(
            "meetings",
            f"Failed in the last 24 hours: {reasons}.",
            "`flask meetings list --state failed --since 24h`, then `meetings show ID` "
            "says why each did and what to do.",
        )
    if waiting.unstored:
        yield warning(
            "archive",
            f"{waiting.unstored} recordings could not be stored when it was last tried.",
            "`flask meetings list --state done`, then `meetings show ID`: archive_error "
            "says why. It is tried again by itself.",
        )
    for name, until in waiting.gates.items():
        yield warning(
            "gate",
            f"Recall asked for a pause: no process makes a {name} before {until:%H:%M:%S} UTC.",
            "It opens by itself, and what waits is tried then, late or not. If it happens often, "
            "ask Recall to raise the limit.",
        )
    yield _judge_last_delivery(waiting)


def _judge_pending(waiting: PendingStreams) -> Finding:
    if rate_limit.CREATE_GATE in waiting.gates and waiting.pending:
        return ok("meetings", f"{waiting.pending} meetings wait until Recall's pause is over.")
    if not waiting.overdue:
        return ok("meetings", f"{waiting.pending} meetings are being connected, none is late.")
    named = ", ".join(
        f"{row.id} ({row.meeting_id or row.meeting_uuid}, received {row.received_at:%H:%M:%S} UTC)"
        for row in waiting.overdue[:_FEW]
    )
    more = len(waiting.overdue) - _FEW
    return failure(
        "meetings",
        f"Nobody connects what is due. {waiting.pending} meetings are pending, late are: {named}"
        + (f" and {more} more." if more > 0 else "."),
        "See that the server or a worker runs, and what its log says. Zoom waits 60 seconds for "
        "each.",
    )


def _judge_last_delivery(waiting: PendingStreams) -> Finding:
    if waiting.last_delivery is None:
        return warning(
            "deliveries",
            "Zoom has never delivered anything here.",
            "If this is a new installation, start a meeting. Otherwise see "
            "docs/TROUBLESHOOTING.md#a-meeting-starts-and-nothing-arrives.",
        )
    ago = waiting.now - waiting.last_delivery
    return ok(
        "deliveries",
        f"Zoom last delivered at {waiting.last_delivery:%Y-%m-%d %H:%M:%S} UTC, {_span(ago)} ago.",
    )


def _waiting(connection: Connection, now: datetime) -> PendingStreams:
    is_pending = CONNECTS.c.state == State.PENDING
    closed = {
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
    return PendingStreams(
        pending=_count(connection, CONNECTS, is_pending),
        overdue=[] if room == 0 else overdue,  # they wait because they must
        unfollowed=_count(
            connection,
            CONNECTS,
            sa.and_(CONNECTS.c.state != State.PENDING, CONNECTS.c.due_at < now - _LOOKED_UP_LATE),
        ),
        failed={row[0]: row[1] for row in failed},
        unstored=_count(
            connection,
            RECORDINGS,
            sa.and_(
                RECORDINGS.c.archive_due_at.is_not(None), RECORDINGS.c.archive_error.is_not(None)
            ),
        ),
        gates=closed,
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


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} minutes"


def _span(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0)
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    whole = round(seconds)
    return f"{whole} second{'' if whole == 1 else 's'}"
