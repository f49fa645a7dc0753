"""Counts of meetings by outcome, over time, without counting a table of a million rows.

Ids increase in the order in which rows are written. So each time is looked up once, as the first id
received at or after it, and everything else is counted in the index of (state, id). Rows written at
the same moment may have their ids in the other order, which does not matter in a count over a day.
The last hour is counted by time, since someone may act on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import CONNECTS, State, UTCDateTime

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
HOURS = 24  # of the chart

_NO_ROW = 2**62  # beyond every id
_NEVER = datetime.max.replace(tzinfo=UTC)
_OUTCOMES: dict[str, str] = {
    State.PENDING: "waiting",
    State.CONNECTED: "captured",
    State.ENDED: "captured",
    State.DONE: "captured",
    State.FAILED: "failed",
    State.SKIPPED: "skipped",
}
# Failed over before it was connected: the row that replaced it has the meeting's outcome.
_REPLACED = sa.and_(CONNECTS.c.state == State.ENDED, CONNECTS.c.recall_id.is_(None))


@dataclass(frozen=True)
class Totals:
    """Meetings that began in a period, by outcome."""

    captured: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0

    @property
    def started(self) -> int:
        """The number of meetings that began."""
        return self.captured + self.failed + self.skipped + self.waiting

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.captured + other.captured,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.waiting + other.waiting,
        )


@dataclass(frozen=True)
class History:
    """The last hour, day and week, and each hour of the clock over the last day, oldest first."""

    last_hour: Totals
    last_day: Totals
    last_week: Totals
    hours: Sequence[tuple[datetime, Totals]]
    reasons: Mapping[str, int]  # why those of the last hour failed
    first_ids: Mapping[timedelta, int]  # of the last DAY and WEEK


def edges(now: datetime) -> list[datetime]:
    """Return the times between which meetings are counted: the beginnings of the chart's hours, and
    of the last day and week, oldest first."""
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    clock_hours = {this_hour - n * HOUR for n in range(HOURS)}
    return sorted(clock_hours | {now - DAY, now - WEEK})


def read(connection: Connection, *, now: datetime) -> History:
    """Count the meetings."""
    moments = edges(now)
    ids = _first_ids(connection, moments)
    between = _counts(connection, ids)
    parts = list(zip(moments, between, strict=True))
    last_hour, reasons = _last_hour(connection, now)

    def since(moment: datetime, until: datetime = _NEVER) -> Totals:
        return sum((each for at, each in parts if moment <= at < until), Totals())

    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - n * HOUR for n in reversed(range(HOURS))]
    return History(
        last_hour=last_hour,
        last_day=since(now - DAY),
        last_week=since(now - WEEK),
        hours=[(hour, since(hour, hour + HOUR)) for hour in hours],
        reasons=reasons,
        first_ids={span: ids[moments.index(now - span)] for span in (DAY, WEEK)},
    )


def _last_hour(connection: Connection, now: datetime) -> tuple[Totals, Mapping[str, int]]:
    # The concatenation keeps SQLite from using the index on states, where it would read every row.
    rows = connection.execute(
        sa.select((CONNECTS.c.state + "").label("state"), CONNECTS.c.reason, sa.func.count())
        .where(CONNECTS.c.received_at >= now - HOUR, sa.not_(_REPLACED))
        .group_by(sa.text("1, 2"))
    )
    counted, reasons = Counter[str](), Counter[str]()
    for state, reason, count in rows:
        counted[_OUTCOMES[state]] += count
        if state == State.FAILED:
            reasons[reason] += count
    return Totals(**counted), reasons


def _first_ids(connection: Connection, moments: Sequence[datetime]) -> list[int]:
    """Return the first id that was received at or after each of these times, which are in order.

    If a clock was wrong for a while, ids and times are not in the same order. Then the lowest id
    is used: a few rows too many are counted, and none is left out.
    """
    named = {f"moment_{number}": moment for number, moment in enumerate(moments)}
    rows = connection.execute(_first_ids_statement(len(moments)), named)
    found = {number: id for number, id in rows if id is not None}
    newest_first = (found.get(n, _NO_ROW) for n in reversed(range(len(moments))))
    return list(accumulate(newest_first, min))[::-1]


def _counts(connection: Connection, ids: Sequence[int]) -> list[Totals]:
    """Return the totals from each of these ids to the next, and from the last to the end."""
    named = {f"id_{number}": id for number, id in enumerate([*ids, _NO_ROW])}
    counted = [dict[str, int]() for _ in ids]
    for number, state, count in connection.execute(_counts_statement(len(ids)), named):
        outcome = _OUTCOMES[state]
        counted[number][outcome] = counted[number].get(outcome, 0) + count
    return [Totals(**each) for each in counted]


# As text, because SQLAlchemy compiles VALUES each time, which takes longer than the query.


@cache
def _first_ids_statement(count: int) -> sa.TextClause:
    asked = ", ".join(f"({number}, :moment_{number})" for number in range(count))
    moments = [sa.bindparam(f"moment_{number}", type_=UTCDateTime) for number in range(count)]
    return sa.text(
        f"WITH asked (number, moment) AS (VALUES {asked}) "  # noqa: S608 - our numbers
        "SELECT asked.number, (SELECT c.id FROM meeting_direct_connects AS c "
        "WHERE c.received_at >= asked.moment ORDER BY c.received_at LIMIT 1) FROM asked"
    ).bindparams(*moments)


@cache
def _counts_statement(count: int) -> sa.TextClause:
    asked = ", ".join(f"({number}, :id_{number}, :id_{number + 1})" for number in range(count))
    states = ", ".join(f"('{state}')" for state in State if state != State.ENDED)
    # Few are `ended`. Whether they were connected is in the rows, not in the index.
    return sa.text(
        f"WITH asked (number, low, high) AS (VALUES {asked}), "  # noqa: S608 - our words
        f"states (state) AS (VALUES {states}) "
        "SELECT asked.number, states.state, (SELECT count(*) FROM meeting_direct_connects AS c "
        "WHERE c.state = states.state AND c.id >= asked.low AND c.id < asked.high) "
        "FROM asked CROSS JOIN states UNION ALL "
        "SELECT asked.number, 'ended', (SELECT count(*) FROM meeting_direct_connects AS c "
        "WHERE c.state = 'ended' AND c.id >= asked.low AND c.id < asked.high "
        "AND c.recall_id IS NOT NULL) FROM asked"
    )
