"""Which of a stream's events belong to which of its runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rtms.dashboard.meetings.moments import Row


def run_of(row: Row, siblings: Sequence[Row], events: Sequence[Row]) -> list[Row]:
    """Those of a stream's events that belong to one of its runs: from its start to the next one's,
    by Zoom's clock. What has no time of Zoom's goes by when it came.

    Args:
        row: the run.
        siblings: every row of the stream, this one too.
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
