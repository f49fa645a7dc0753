"""How long a meeting was not recorded while its stream was started again. Pure.

A lost stream that is started again is a new row, and the old one names it (`restarted_as`). All
these rows are one meeting: its chain, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models import State
from rtms import clock


@dataclass(frozen=True, kw_only=True)
class ChainRow:
    """What the gaps depend on, of a row of `meeting_direct_connects`."""

    id: int
    state: str
    event_ts: int  # milliseconds since 1970, Zoom's clock
    connected_at: datetime | None
    stopped_at: datetime | None

    @property
    def has_failed(self) -> bool:
        """Whether it has no recording, and will have none."""
        return self.state in (State.FAILED, State.SKIPPED)


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """How a row continues an older one, and which row continues it."""

    restart_of: int | None = None  # the older row
    gap_seconds: float | None = None  # not recorded before this row; None: not connected (yet)
    lost_at: datetime | None = None  # from when on this row does not record
    # The row that continues this one: the first that has a recording, or else the newest.
    continued_in: ChainRow | None = None
    gap_after: float | None = None  # seconds from `lost_at` to when `continued_in` was connected
    rows: int = 1  # of the whole chain
    total_gap: float = 0.0  # seconds, of the whole chain


NOT_RESTARTED = Restarts()


def restarts(chain: Sequence[ChainRow], id: int) -> Restarts:
    """Return what to say about one row of a chain.

    Args:
        chain: the rows of one meeting, oldest first.
        id: the row; where the chain does not have it, it was not restarted.
    """
    at = next((number for number, row in enumerate(chain) if row.id == id), None)
    if at is None:
        return NOT_RESTARTED
    later = chain[at + 1 :]
    recorded = (row for row in later if row.connected_at and not row.has_failed)
    continued_in = next(recorded, later[-1] if later else None)
    lost_at = _lost_at(chain[: at + 1]) if later else None
    return Restarts(
        restart_of=chain[at - 1].id if at else None,
        gap_seconds=_gap_before(chain, at),
        lost_at=lost_at,
        continued_in=continued_in,
        gap_after=_seconds(lost_at, continued_in.connected_at) if continued_in else None,
        rows=len(chain),
        total_gap=sum(_gap_before(chain, number) or 0.0 for number in range(len(chain))),
    )


def sentences(found: Restarts) -> list[str]:
    """Return what a person is told about a row's restarts; nothing for a row that has none."""
    said = []
    if found.restart_of is not None:
        said.append(f"Goes on from meeting {found.restart_of}{_after(found.gap_seconds)}.")
    newer = found.continued_in
    if newer is not None:
        lost = f"Lost at {found.lost_at:%H:%M:%S} UTC" if found.lost_at else "Lost"
        if newer.has_failed:
            said.append(f"{lost}; meeting {newer.id} was to go on, but failed too.")
        elif newer.connected_at:
            said.append(f"{lost}; goes on in meeting {newer.id}{_after(found.gap_after)}.")
        else:
            said.append(f"{lost}; goes on in meeting {newer.id}, which is not connected yet.")
    if found.rows > 2:
        gaps = _seconds_text(found.total_gap)
        said.append(f"The meeting has {found.rows} streams, with gaps of {gaps} in all.")
    return said


def _after(gap: float | None) -> str:
    return "" if gap is None else f" after a gap of {_seconds_text(gap)}"


def _seconds_text(seconds: float) -> str:
    whole = round(seconds)
    return "1 second" if whole == 1 else f"{whole} seconds"


def _gap_before(chain: Sequence[ChainRow], at: int) -> float | None:
    """Return the seconds that were not recorded before a row; None for the first, and for a row
    that is not connected."""
    return _seconds(_lost_at(chain[:at]), chain[at].connected_at) if at else None


def _lost_at(older: Sequence[ChainRow]) -> datetime | None:
    """Return since when nothing is recorded after these rows: since the last one that was connected
    stopped, or since the first one began. None: Zoom did not report the stop."""
    connected = next((row for row in reversed(older) if row.connected_at), None)
    return connected.stopped_at if connected else clock.from_milliseconds(older[0].event_ts)


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    """Return a gap's length. Two clocks may disagree, so it can be measured as less than none."""
    if since is None or until is None:
        return None
    return max(round((until - since).total_seconds(), 3), 0.0)
