"""Insert the starts of unknown streams of unknown meetings, which most are, in bulk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, EVENTS, LIVE_OF_A_USER
from rtms.db.bulk import BulkFind, BulkInsert, PartialIndex
from rtms.intake.columns import NEW_ROW_COLUMNS, new_row
from rtms.intake.parsed_delivery import Delivery
from rtms.intake.results import IntakeResult
from rtms.intake.start_rules import judge
from rtms.intake.starts import start_result
from rtms.stream_requests import lookups
from rtms.zoom.meanings import Started

_NEW_CONNECTS = BulkInsert(CONNECTS, NEW_ROW_COLUMNS)
_NEW_EVENTS = BulkInsert(EVENTS, [column.name for column in EVENTS.c if column.name != "id"])

# Streams that any event or row names.
_KNOWN_STREAMS = BulkFind(EVENTS.c.rtms_stream_id, CONNECTS.c.rtms_stream_id)
# Meetings that have a live stream of a known user, or whose name is known.
_KNOWN_MEETINGS = BulkFind(
    EVENTS.c.meeting_uuid,
    CONNECTS.c.meeting_uuid,
    by={
        CONNECTS.c.meeting_uuid: PartialIndex(
            name="uq_live_operator",
            then="operator_id",
            condition=LIVE_OF_A_USER,
        )
    },
)


def take_fresh_starts(
    connection: Connection, config: Config, deliveries: Sequence[Delivery]
) -> dict[int, IntakeResult]:
    """Insert the starts of unknown streams of unknown meetings, which most are, with a few bulk
    statements. The decision about such a start depends on no other row.

    Returns:
        Their outcomes, by their index in the deliveries.
    """
    starts = _independent_starts(config, deliveries)
    if not starts:
        return {}
    streams = _KNOWN_STREAMS.execute(connection, [s.rtms_stream_id for s in starts.values()])
    meetings = _KNOWN_MEETINGS.execute(connection, [s.meeting_uuid for s in starts.values()])
    asked_for = _asked_for(connection, config, starts.values())
    fresh = {
        at: start
        for at, start in starts.items()
        if start.rtms_stream_id not in streams
        and start.meeting_uuid not in meetings
        and asked_for.isdisjoint((start.meeting_uuid, start.meeting_id))
    }
    if not fresh:
        return {}
    verdicts = {at: judge(start, (), record_streams="all") for at, start in fresh.items()}
    new_rows = [
        new_row(config, start, verdicts[at], deliveries[at].arrival) for at, start in fresh.items()
    ]
    ids = _NEW_CONNECTS.execute_for_ids(connection, new_rows, by="rtms_stream_id")
    results = {
        at: start_result(start, verdicts[at], ids[start.rtms_stream_id])
        for at, start in fresh.items()
    }
    _NEW_EVENTS.execute(
        connection, [deliveries[at].event(result) for at, result in results.items()]
    )
    return results


def _asked_for(
    connection: Connection, config: Config, starts: Collection[Started]
) -> frozenset[str | None]:
    """Return the UUIDs and numbers of the meetings for whose streams Zoom was asked."""
    if not config.zoom_s2s_client_id:
        return frozenset()
    return lookups.meetings_asked_for(
        connection,
        meeting_uuids=[start.meeting_uuid for start in starts],
        meeting_ids=[start.meeting_id for start in starts if start.meeting_id],
    )


def _independent_starts(config: Config, deliveries: Sequence[Delivery]) -> dict[int, Started]:
    """Return, by index, the starts whose stream and meeting no other delivery names."""
    if config.record_streams != "all":  # the streams of a meeting depend on each other
        return {}
    names = Counter(
        getattr(each.meaning, name, None)
        for each in deliveries
        for name in ("rtms_stream_id", "meeting_uuid")
    )
    return {
        at: each.meaning
        for at, each in enumerate(deliveries)
        if isinstance(each.meaning, Started)
        and names[each.meaning.rtms_stream_id] == names[each.meaning.meeting_uuid] == 1
    }
