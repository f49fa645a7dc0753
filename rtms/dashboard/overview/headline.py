"""The overview in one sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rtms.dashboard.filters import duration, plural
from rtms.dashboard.overview.snapshot import OVERDUE_AFTER, Standing
from rtms.states import EXPLANATIONS, UNAUTHENTICATED

SIGNS = {"good": "✓", "warn": "!", "bad": "✕", "calm": "○"}


@dataclass(frozen=True)
class Verdict:
    """How things are, how bad that is, and what to do about it."""

    level: Literal["good", "warn", "bad", "calm"]
    text: str
    advice: str = ""

    @property
    def sign(self) -> str:
        """What stands beside it, so that its colour is not the only sign."""
        return SIGNS[self.level]


def judge(standing: Standing) -> Verdict:
    """What the person on call wants to know first. The worst comes first."""
    if standing.is_overdue and not standing.connecting:
        return Verdict(
            "bad",
            f"No process connects streams: {plural(standing.waiting, 'meeting')} "
            f"{_wait(standing.waiting)} and nobody takes {_them(standing.waiting)}.",
            "Start the server with `gunicorn app:app`, or run `flask --app app worker` beside it. "
            "Is `DISPATCHER` off everywhere?",
        )
    if standing.unauthenticated is not None:
        return Verdict(
            "bad",
            "Zoom refuses the join signature (stop reason 18): "
            f"meeting {standing.unauthenticated.id} was not recorded, and no other will be.",
            UNAUTHENTICATED.todo,
        )
    if standing.failed:
        return Verdict(
            "bad",
            f"{plural(standing.failed, 'meeting')} failed in the last hour: "
            f"{_reasons(standing.reasons)}.",
            "What to do stands beside each one below.",
        )
    if standing.gate_closed_until and standing.waiting:
        return Verdict(
            "warn",
            f"{plural(standing.waiting, 'meeting')} {_wait(standing.waiting)} for Recall's rate "
            f"limit, until {standing.gate_closed_until:%H:%M:%S} UTC.",
        )
    oldest = standing.oldest_waiting
    if oldest is not None and standing.now - oldest.received_at > OVERDUE_AFTER:
        age = duration(standing.now - oldest.received_at)
        return Verdict(
            "warn",
            f"{plural(standing.waiting, 'meeting')} {_wait(standing.waiting)} to be connected, "
            f"the oldest for {age}.",
        )
    if not standing.has_any:
        return Verdict("calm", "No meeting yet: the first one shows here by itself.")
    waiting = f"{plural(standing.waiting, 'meeting')} being connected"
    return Verdict(
        "good",
        f"All is well: {plural(standing.live, 'meeting')} live, "
        f"{waiting if standing.waiting else 'nothing waiting'}.",
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
