"""Which media of a recording are stored, and whether that is all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rtms.jobs.archive import eligibility
from rtms.jobs.archive.retry_policy import NotArchived
from rtms.recall.recording_config import is_audio
from rtms.recall.responses import RecordingState

_WITH_FILES = ("video_mixed", "transcript", "participant_events")  # and audio


@dataclass
class Progress:
    """Which media of a recording are stored so far."""

    known: Mapping[str, str] | None = None  # kind → status, as the table had it at the start
    found: Mapping[str, str] | None = None  # the same from Recall; None: it did not answer
    stored: set[str] = field(default_factory=set)  # the kinds of which all files are stored

    @property
    def has_news(self) -> bool:
        """Whether Recall's answer differs from the table."""
        return self.found is not None and self.found != self.known

    def missed(self, media: Mapping[str, str]) -> bool:
        """Return whether a medium became done while others were stored.

        Args:
            media: kind → status, as the table has it now.
        """
        seen = eligibility.done_kinds(self.known or {}) | eligibility.done_kinds(self.found or {})
        return not eligibility.done_kinds(media) <= seen


def has_file(kind: str) -> bool:
    """Return whether a kind of medium always has a file."""
    return kind in _WITH_FILES or is_audio(kind)


def raise_if_incomplete(recording: RecordingState, files: Sequence[object]) -> None:
    """Raise `NotArchived` if a medium is missing or still processing, or if there is none."""
    for medium in recording.media:
        if medium.status == "processing":
            raise NotArchived(f"Recall is still processing its {medium.kind}.")
        if medium.status == "done" and has_file(medium.kind) and not medium.links:
            raise NotArchived(f"Recall has no link to its {medium.kind}.")
    if not files:
        statuses = recording.media_statuses()
        states = ", ".join(f"{kind} is {status}" for kind, status in statuses.items())
        raise NotArchived(
            f"Recall has no media of it to store: {states or 'it lists none'}.",
            for_good="deleted" in statuses.values(),
        )
