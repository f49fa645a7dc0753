"""How long a meeting was not recorded while its stream was started again, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rtms.stream_gap import ChainRow, restarts, sentences

BEGAN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def a_row(
    id: int,
    began: float,
    connected: float | None = None,
    stopped: float | None = None,
    state: str = "ended",
) -> ChainRow:
    return ChainRow(
        id=id,
        state=state,
        event_ts=int(after(began).timestamp() * 1000),
        connected_at=None if connected is None else after(connected),
        stopped_at=None if stopped is None else after(stopped),
    )


LOST = a_row(11, 0, 1, 131)
NEVER = a_row(12, 140, state="failed")
MISSED = a_row(11, 0, stopped=50, state="failed")
LIVE = a_row(13, 170, 171.4, state="connected")


@pytest.mark.parametrize(
    ("chain", "gaps", "total"),
    [
        ([LOST], [None], 0),
        ([LOST, a_row(12, 140, 145)], [None, 14], 14),
        ([LOST, a_row(12, 140)], [None, None], 0),  # not connected yet
        ([LOST, a_row(12, 120, 130)], [None, 0], 0),  # the clocks disagree
        ([a_row(11, 0, 1), a_row(12, 140, 145)], [None, None], 0),  # its stop is unknown
        ([MISSED, a_row(12, 60, 61)], [None, 61], 61),  # not recorded since it began
        ([LOST, a_row(12, 140, 145, 160), LIVE], [None, 14, 11.4], 25.4),
        ([LOST, NEVER, LIVE], [None, None, 40.4], 40.4),
        ([MISSED, NEVER, LIVE], [None, None, 171.4], 171.4),
    ],
)
def test_a_gap_is_from_the_last_recording_to_the_next(
    chain: list[ChainRow], gaps: list[float | None], total: float
) -> None:
    found = [restarts(chain, row.id) for row in chain]
    assert [each.gap_seconds for each in found] == gaps
    assert {each.total_gap for each in found} == {total}
    assert [each.restart_of for each in found] == [None, *(row.id for row in chain[:-1])]


@pytest.mark.parametrize(
    ("chain", "id", "said"),
    [
        ([LOST], 11, []),
        ([], 11, []),
        (
            [LOST, a_row(12, 140, 145)],
            11,
            ["Lost at 10:02:11 UTC; goes on in meeting 12 after a gap of 14 seconds."],
        ),
        ([LOST, a_row(12, 140, 145)], 12, ["Goes on from meeting 11 after a gap of 14 seconds."]),
        ([LOST, a_row(12, 140, 132)], 12, ["Goes on from meeting 11 after a gap of 1 second."]),
        (
            [LOST, a_row(12, 140, state="pending")],
            11,
            ["Lost at 10:02:11 UTC; goes on in meeting 12, which is not connected yet."],
        ),
        ([LOST, a_row(12, 140, state="pending")], 12, ["Goes on from meeting 11."]),
        ([LOST, NEVER], 11, ["Lost at 10:02:11 UTC; meeting 12 was to go on, but failed too."]),
        (
            [a_row(11, 0, 1), a_row(12, 140, 145)],
            11,
            ["Lost; goes on in meeting 12."],
        ),
        (
            [LOST, NEVER, LIVE],
            11,
            [
                "Lost at 10:02:11 UTC; goes on in meeting 13 after a gap of 40 seconds.",
                "The meeting has 3 streams, with gaps of 40 seconds in all.",
            ],
        ),
    ],
)
def test_a_row_says_where_its_meeting_goes_on(
    chain: list[ChainRow], id: int, said: list[Any]
) -> None:
    assert sentences(restarts(chain, id)) == said
