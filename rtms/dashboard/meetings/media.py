"""A recording on a page: what of it can be played or downloaded, and if nothing, why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rtms.recall.recording_config import NOTHING_KEPT

# What a recording's media are called, in the order in which people want them.
MEDIA = {
    "video_mixed": "Video",
    "audio_mixed": "Audio",
    "audio_mixed_raw": "Audio (raw)",
    "transcript": "Transcript",
    "participant_events": "Participants",
}
_PLAYED = ("video_mixed", "audio_mixed")
# Which links a medium has beside or in place of `download_url`, and what is behind them.
_LINKS = {
    "participant_events": {
        "participants_download_url": "Participants",
        "participant_events_download_url": "Who came and went",
        "speaker_timeline_download_url": "Who spoke when",
    },
}
_NO_FILE = ("meeting_metadata",)  # read with the recording itself


@dataclass(frozen=True, kw_only=True)
class Download:
    """A button: a medium's file."""

    kind: str
    link: str | None  # its name at Recall, where it is not the usual one
    label: str


def played(recording: Mapping[str, Any]) -> str | None:
    """Which medium of a recording a player can play: the video, else the audio, else none."""
    media = recording["media"]
    return next((kind for kind in _PLAYED if media.get(kind) == "done"), None)


def downloads(recording: Mapping[str, Any]) -> list[Download]:
    """The files of a recording that are ready."""
    ready = [
        k for k, stands in recording["media"].items() if stands == "done" and k not in _NO_FILE
    ]
    ready.sort(key=lambda kind: list(MEDIA).index(kind) if kind in MEDIA else len(MEDIA))
    return [
        Download(kind=kind, link=link, label=label)
        for kind in ready
        for link, label in _LINKS.get(kind, {None: MEDIA.get(kind, kind)}).items()
    ]


def gone(recording: Mapping[str, Any], now: datetime) -> str | None:
    """Why a recording's media are not at Recall any more; None where they should be."""
    if recording["status"] == "deleted":
        return "The recording was deleted at Recall. Nothing brings it back."
    if recording["expires_at"] and recording["expires_at"] <= now:
        return (
            f"Recall kept the recording until {recording['expires_at']:%Y-%m-%d %H:%M} UTC and has "
            "deleted its media since."
        )
    return None


def unplayed(recording: Mapping[str, Any], *, nothing_kept: bool = False) -> str:
    """Why a recording that is there cannot be played.

    Args:
        nothing_kept: whether Recall was to keep nothing (`recording_config.keeps_nothing`).
    """
    media = recording["media"]
    waiting = any(media.get(kind) == "processing" for kind in _PLAYED)
    if recording["status"] == "failed":
        return "The recording failed at Recall. Ask its support, with the recording's id."
    if recording["status"] == "done" and nothing_kept:
        return NOTHING_KEPT
    if recording["status"] != "done" or waiting:
        return (
            "Recall is still processing the recording. Refresh asks how it stands; when it is "
            "done, it plays here."
        )
    return "This recording has neither video nor audio: RECORDING_CONFIG asks for none."
