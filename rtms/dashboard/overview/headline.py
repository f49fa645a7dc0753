"""The overview in one sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rtms.dashboard.overview.snapshot import OVERDUE_AFTER, OverviewSnapshot
from rtms.dashboard.template_filters.amounts import duration, plural
from rtms.states import EXPLANATIONS, UNAUTHENTICATED

SIGNS = {"good": "✓", "warn": "!", "bad": "✕", "calm": "○"}


@dataclass(frozen=True)
class Headline:
    """The state of the server, its severity, and what to do."""

    level: Literal["good", "warn", "bad", "calm"]
    text: str
    advice: str = ""

    @property
    def sign(self) -> str:
        """The symbol beside it, so that colour is not the only indication."""
        return SIGNS[self.level]


def headline_of(snapshot: OverviewSnapshot) -> Headline:
    """Return what the person on call should know first. The worst problem takes precedence."""
    if snapshot.is_overdue and not snapshot.connecting:
        return Headline(
            "bad",
            f"No process connects streams: {plural(snapshot.waiting, 'meeting')} "
            f"{_wait(snapshot.waiting)}.",
            "Start the server with `gunicorn app:app`, or run `flask worker` as well. "
            "Is `DISPATCHER` off everywhere?",
        )
    if snapshot.unauthenticated is not None:
        return Headline(
            "bad",
            "Zoom refuses the join signature (stop reason 18): "
            f"meeting {snapshot.unauthenticated.id} was not recorded, and others will not be.",
            UNAUTHENTICATED.todo,
        )
    if snapshot.failed:
        return Headline(
            "bad",
            f"{plural(snapshot.failed, 'meeting')} failed in the last hour: "
            f"{_reasons(snapshot.reasons)}.",
            "See below what to do about each one.",
        )
    if snapshot.gate_closed_until and snapshot.waiting:
        return Headline(
            "warn",
            f"{plural(snapshot.waiting, 'meeting')} {_wait(snapshot.waiting)} for Recall's rate "
            f"limit, until {snapshot.gate_closed_until:%H:%M:%S} UTC.",
        )
    oldest = snapshot.oldest_waiting
    if oldest is not None and snapshot.now - oldest.received_at > OVERDUE_AFTER:
        age = duration(snapshot.now - oldest.received_at)
        return Headline(
            "warn",
            f"{plural(snapshot.waiting, 'meeting')} {_wait(snapshot.waiting)} to be connected, "
            f"the oldest for {age}.",
        )
    if not snapshot.has_any:
        return Headline("calm", "No meetings yet. The first one will appear here.")
    waiting = f"{plural(snapshot.waiting, 'meeting')} being connected"
    return Headline(
        "good",
        f"All is well: {plural(snapshot.live, 'meeting')} live, "
        f"{waiting if snapshot.waiting else 'nothing waiting'}.",
    )


def _wait(count: int) -> str:
    return "is waiting" if count == 1 else "are waiting"


def _reasons(reasons: Mapping[str, int]) -> str:
    """Return the reasons with their counts, the most frequent first; a single one without."""
    if len(reasons) == 1:
        return "".join(EXPLANATIONS[reason].short for reason in reasons)
    counted = Counter(reasons).most_common()
    return ", ".join(f"{count:,} {EXPLANATIONS[reason].short}" for reason, count in counted)
