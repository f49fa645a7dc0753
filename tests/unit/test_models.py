"""The tables as people meet them: what a row says of itself, and what it does not take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Dialect, make_url

from models import Base, MeetingDirectConnect, Recording, UTCDateTime, WebhookEvent

RECEIVED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def connection(**differently: Any) -> MeetingDirectConnect:
    usual: dict[str, Any] = {
        "id": 7,
        "product": "meeting",
        "meeting_uuid": "4444AAAiAAAAAiAiAiiAii==",
        "rtms_stream_id": "609340fb2a7946909659956c8aa9250c",
        "server_urls": "wss://127.0.0.1:443",
        "idempotency_key": "0b9f4c1e-secret",
        "state": "pending",
        "received_at": RECEIVED,
    }
    return MeetingDirectConnect(**{**usual, **differently})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            connection(),
            "<MeetingDirectConnect 7: meeting 4444AAAiAAAAAiAiAiiAii== pending "
            "received 2026-03-04 05:06:07 UTC>",
        ),
        (
            connection(
                meeting_id="85746065432", state="connected", recall_id="r-1", status="recording"
            ),
            "<MeetingDirectConnect 7: meeting 85746065432 connected recall_id=r-1 "
            "status=recording received 2026-03-04 05:06:07 UTC>",
        ),
        (
            connection(product="webinar", state="failed", reason="window_expired"),
            "<MeetingDirectConnect 7: webinar 4444AAAiAAAAAiAiAiiAii== failed (window_expired) "
            "received 2026-03-04 05:06:07 UTC>",
        ),
        (
            Recording(
                id=3,
                recall_recording_id="rec-1",
                status="done",
                media={"video_mixed": "done", "transcript": "failed"},
            ),
            "<Recording 3: rec-1 done (video_mixed done, transcript failed)>",
        ),
        (
            WebhookEvent(
                id=9,
                event="meeting.rtms_started",
                received_at=RECEIVED,
                outcome="accepted: to be connected",
                payload={"session_key": "ABC36jaBI145"},
            ),
            "<WebhookEvent 9: meeting.rtms_started received 2026-03-04 05:06:07 UTC, "
            "accepted: to be connected>",
        ),
    ],
)
def test_a_row_says_what_a_person_wants_to_know_and_no_secret(row: Base, words: str) -> None:
    assert repr(row) == words


@pytest.mark.parametrize("table", [MeetingDirectConnect, Recording, WebhookEvent])
def test_a_row_that_is_not_filled_in_yet_has_a_repr_too(table: type[Base]) -> None:
    assert repr(table()).startswith(f"<{table.__name__} None:")


MOMENTS = [
    pytest.param(column, id=str(column))
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.DateTime | UTCDateTime)
]
DIALECTS = [make_url(url).get_dialect()() for url in ("sqlite://", "postgresql+psycopg://")]


def bind(column: sa.Column[Any], dialect: Dialect, value: datetime | None) -> Any:
    """What the engine is given for a value."""
    found = column.type
    assert isinstance(found, UTCDateTime)  # every moment in every table
    return found.process_bind_param(value, dialect)


@pytest.mark.parametrize("column", MOMENTS)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_naive_moment_is_refused(column: sa.Column[Any], dialect: Dialect) -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        bind(column, dialect, datetime(2026, 3, 4, 5, 6, 7))
    assert bind(column, dialect, None) is None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_moment_of_any_zone_goes_in_and_comes_out_as_utc(dialect: Dialect) -> None:
    there = RECEIVED.astimezone(timezone(timedelta(hours=9)))
    stored = UTCDateTime().process_bind_param(there, dialect)
    assert stored is not None
    assert stored.tzinfo is UTC
    for given in (stored, stored.replace(tzinfo=None), there):  # an engine may drop the zone
        found = UTCDateTime().process_result_value(given, dialect)
        assert found == RECEIVED
        assert found is not None
        assert found.tzinfo is UTC


NAMED_IN_THE_DESIGN = {
    "meeting_direct_connects": """id rtms_stream_id meeting_uuid meeting_id product operator_id
        is_original_host server_urls event_ts state reason recall_id status sub_code attempts
        last_error idempotency_key due_at leased_until lease_owner received_at connected_at
        interrupted_at stopped_at stop_reason superseded_by""",
    "recordings": """id meeting_direct_connect_id recall_recording_id status sub_code started_at
        completed_at expires_at media""",
    "webhook_events": """id source event dedupe_key rtms_stream_id payload received_at outcome""",
}


@pytest.mark.parametrize(("table", "columns"), NAMED_IN_THE_DESIGN.items())
def test_a_table_has_the_columns_that_other_programs_rely_on(table: str, columns: str) -> None:
    assert not set(columns.split()) - set(Base.metadata.tables[table].columns.keys())
