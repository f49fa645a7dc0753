"""What RECORDING_CONFIG asks Recall to record and keep. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

AUDIO = "audio_mixed"

NOTHING_KEPT = (
    "Nothing of it was kept, so there is nothing to download: RECORDING_CONFIG has "
    '`"retention": null` (zero data retention).'
)


def is_audio(kind: str) -> bool:
    """Return whether a kind of medium is mixed audio: `audio_mixed`, or e.g. `audio_mixed_raw`."""
    return kind == AUDIO or kind.startswith(f"{AUDIO}_")


def audio_count(recording_config: Mapping[str, Any], kinds: Iterable[str] = ()) -> int:
    """Return how many mixed audios a recording should have: one for each requested format.

    Args:
        recording_config: as sent to Recall.
        kinds: the kinds of media that are wanted now; empty for all. Audio that is wanted by name
            is looked up even if this RECORDING_CONFIG does not request it.
    """
    if keeps_nothing(recording_config):
        return 0
    count = sum(is_audio(name) and value is not None for name, value in recording_config.items())
    wanted = list(kinds)
    return count if not wanted else max(count, 1) if any(map(is_audio, wanted)) else 0


def keeps_nothing(recording_config: Mapping[str, Any]) -> bool:
    """Return whether Recall is told to keep nothing: zero data retention (Recall: recording
    retention)."""
    return says_how_long(recording_config) and recording_config["retention"] is None


def says_how_long(recording_config: Mapping[str, Any]) -> bool:
    """Return whether the configuration sets a retention. Without one, newer workspaces keep media
    forever and bill for that (Recall: recording retention)."""
    return "retention" in recording_config
