"""Assigns the events of a stream to its runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rtms.dashboard.meetings.moments import Row


def run_of(row: Row, siblings: Sequence[Row], events: Sequence[Row]) -> list[Row]:
    """Return the events of a stream that belong to one of its runs: from its start to the start of
    the next, by Zoom's clock. Events without a time of Zoom's are assigned by their arrival.

    Args:
        row: the run.
        siblings: every row of the stream, including this one.
        events: every event of the stream.
    """
    later = [each for each in siblings if each["event_ts"] > row["event_ts"]]
    following = min(later, key=lambda each: each["event_ts"], default=None)
    is_first = all(each["event_ts"] >= row["event_ts"] for each in siblings)
    return [each for each in events if _belongs(each, row, following, is_first=is_first)]


def _belongs(event: Row, run: Row, following: Row | None, *, is_first: bool) -> bool:
    by = "event_ts" if event["event_ts"] is not None else "received_at"
    has_begun = is_first or event[by] >= run[by]
    return has_begun and (following is None or event[by] < following[by])
