"""What of a recording a page can play or download, and if nothing, why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rtms.recall.recording_config import NOTHING_KEPT

# The labels of a recording's media, in the order in which they are shown.
MEDIA = {
    "video_mixed": "Video",
    "audio_mixed": "Audio",
    "audio_mixed_raw": "Audio (raw)",
    "transcript": "Transcript",
    "participant_events": "Participants",
}
_PLAYED = ("video_mixed", "audio_mixed")
# The links that a medium has instead of `download_url`, and their labels.
_LINKS = {
    "participant_events": {
        "participants_download_url": "Participants",
        "participant_events_download_url": "Participant events",
        "speaker_timeline_download_url": "Speaker timeline",
    },
}
_NO_FILE = ("meeting_metadata",)  # read with the recording itself


@dataclass(frozen=True, kw_only=True)
class Download:
    """A download button for a medium's file."""

    kind: str
    link: str | None  # the link's name at Recall, unless it is `download_url`
    label: str


def played(recording: Mapping[str, Any]) -> str | None:
    """Return the medium of a recording that a player can play: the video, else the audio."""
    media = recording["media"]
    return next((kind for kind in _PLAYED if media.get(kind) == "done"), None)


def downloads(recording: Mapping[str, Any]) -> list[Download]:
    """Return the files of a recording that are ready."""
    media = recording["media"].items()
    ready = [kind for kind, status in media if status == "done" and kind not in _NO_FILE]
    ready.sort(key=lambda kind: list(MEDIA).index(kind) if kind in MEDIA else len(MEDIA))
    return [
        Download(kind=kind, link=link, label=label)
        for kind in ready
        for link, label in _LINKS.get(kind, {None: MEDIA.get(kind, kind)}).items()
    ]


def gone(recording: Mapping[str, Any], now: datetime) -> str | None:
    """Return why a recording's media are no longer at Recall; None if they should be."""
    if recording["status"] == "deleted":
        return "The recording was deleted at Recall. It cannot be restored."
    if recording["expires_at"] and recording["expires_at"] <= now:
        return (
            f"Recall kept the recording until {recording['expires_at']:%Y-%m-%d %H:%M} UTC, and "
            "has deleted its media."
        )
    return None


def unplayed(recording: Mapping[str, Any], *, nothing_kept: bool = False) -> str:
    """Return why an existing recording cannot be played.

    Args:
        nothing_kept: whether Recall was told to keep nothing (`recording_config.keeps_nothing`).
    """
    media = recording["media"]
    waiting = any(media.get(kind) == "processing" for kind in _PLAYED)
    if recording["status"] == "failed":
        return "The recording failed at Recall. Ask its support, with the recording's id."
    if recording["status"] == "done" and nothing_kept:
        return NOTHING_KEPT
    if recording["status"] != "done" or waiting:
        return (
            "Recall is still processing the recording. Refresh asks Recall for its status. When "
            "the recording is ready, it plays here."
        )
    return "This recording has neither video nor audio: RECORDING_CONFIG asks for none."
