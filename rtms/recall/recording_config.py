"""What RECORDING_CONFIG asks Recall for, as far as it matters here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

AUDIO = "audio_mixed"

# What there is to say of a recording of which Recall keeps nothing.
NOTHING_KEPT = (
    "Nothing of it was kept, so there is nothing to download: RECORDING_CONFIG has "
    '`"retention": null` (zero data retention).'
)


def is_audio(kind: str) -> bool:
    """Whether a kind of medium is mixed audio: `audio_mixed`, or `audio_mixed_raw` beside it."""
    return kind == AUDIO or kind.startswith(f"{AUDIO}_")


def audio_count(recording_config: Mapping[str, Any], kinds: Iterable[str] = ()) -> int:
    """How many mixed audios a recording should have: one for each format that was asked for.

    Args:
        recording_config: as it is sent to Recall.
        kinds: of media that somebody asks for now; none: all. Who asks for audio by name may get
            what another RECORDING_CONFIG asked for.
    """
    if keeps_nothing(recording_config):
        return 0
    asked = sum(is_audio(name) and value is not None for name, value in recording_config.items())
    named = list(kinds)
    return asked if not named else max(asked, 1) if any(map(is_audio, named)) else 0


def keeps_nothing(recording_config: Mapping[str, Any]) -> bool:
    """Whether Recall is to keep nothing of a recording: zero data retention (Recall: recording
    retention)."""
    return says_how_long(recording_config) and recording_config["retention"] is None


def says_how_long(recording_config: Mapping[str, Any]) -> bool:
    """Whether it says how long Recall keeps the media. Where it does not, newer workspaces keep
    them for ever, and bill that (Recall: recording retention)."""
    return "retention" in recording_config
