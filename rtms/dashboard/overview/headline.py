"""The overview in one sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rtms.dashboard.filters import duration, plural
from rtms.dashboard.overview.snapshot import OVERDUE_AFTER, OverviewSnapshot
from rtms.states import EXPLANATIONS, UNAUTHENTICATED

SIGNS = {"good": "✓", "warn": "!", "bad": "✕", "calm": "○"}


@dataclass(frozen=True)
class Headline:
    """How things are, how bad that is, and what to do about it."""

    level: Literal["good", "warn", "bad", "calm"]
    text: str
    advice: str = ""

    @property
    def sign(self) -> str:
        """What stands beside it, so that its colour is not the only sign."""
        return SIGNS[self.level]


def headline_of(snapshot: OverviewSnapshot) -> Headline:
    """What the person on call wants to know first. The worst comes first."""
    if snapshot.is_overdue and not snapshot.connecting:
        return Headline(
            "bad",
            f"No process connects streams: {plural(snapshot.waiting, 'meeting')} "
            f"{_wait(snapshot.waiting)} and nobody takes {_them(snapshot.waiting)}.",
            "Start the server with `gunicorn app:app`, or run `flask worker` beside it. "
            "Is `DISPATCHER` off everywhere?",
        )
    if snapshot.unauthenticated is not None:
        return Headline(
            "bad",
            "Zoom refuses the join signature (stop reason 18): "
            f"meeting {snapshot.unauthenticated.id} was not recorded, and no other will be.",
            UNAUTHENTICATED.todo,
        )
    if snapshot.failed:
        return Headline(
            "bad",
            f"{plural(snapshot.failed, 'meeting')} failed in the last hour: "
            f"{_reasons(snapshot.reasons)}.",
            "What to do stands beside each one below.",
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
        return Headline("calm", "No meeting yet: the first one shows here by itself.")
    waiting = f"{plural(snapshot.waiting, 'meeting')} being connected"
    return Headline(
        "good",
        f"All is well: {plural(snapshot.live, 'meeting')} live, "
        f"{waiting if snapshot.waiting else 'nothing waiting'}.",
    )


def _wait(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _reasons(reasons: Mapping[str, int]) -> str:
    """Each reason with its number, the most frequent first; a single one without."""
    if len(reasons) == 1:
        return "".join(EXPLANATIONS[reason].short for reason in reasons)
    counted = Counter(reasons).most_common()
    return ", ".join(f"{count:,} {EXPLANATIONS[reason].short}" for reason, count in counted)
