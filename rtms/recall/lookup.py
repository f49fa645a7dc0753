"""Retrieve a direct connect from Recall, including mixed audio.

A recording's media shortcuts contain only some kinds of media. Mixed audio that was requested and
is missing there is looked up by the recording's id (Recall: list audio_mixed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recall.recording_config import is_audio
from rtms.recall.responses import (
    DirectConnectState,
    RecordingState,
    read_direct_connect,
    with_audio,
)

# 4xx that are temporary, or are not about the list of audio.
_NOT_ABOUT_AUDIO = (401, 402, 408, 409, 425, 429)

log = structlog.get_logger()


def at_once() -> None:
    """Take a turn without waiting, for a person's request."""


def look_up(
    recall: Recall,
    recall_id: str | None,
    *,
    audio: int,
    take_turn: Callable[[], None] = at_once,
) -> DirectConnectState:
    """Return a direct connect as Recall has it now.

    Args:
        audio: how many mixed audios each recording should have (`recording_config.audio_count`).
        take_turn: called before each request after the first; it returns when the request may be
            made. Its errors are not caught.

    Raises:
        RecallError: Recall did not return it.
    """
    found = read_direct_connect(recall.retrieve_direct_connect(recall_id))
    recordings = (_add_audio(recall, each, audio, take_turn) for each in found.recordings)
    return replace(found, recordings=tuple(recordings))


def _add_audio(
    recall: Recall, recording: RecordingState, audio: int, take_turn: Callable[[], None]
) -> RecordingState:
    have = sum(is_audio(medium.kind) for medium in recording.media)
    if recording.status != "done" or have >= audio:
        return recording
    try:
        listed = recall.list_audio_mixed(recording.recall_recording_id, take_turn)
    except RecallError as error:
        status = error.status or 0
        if not 400 <= status < 500 or status in _NOT_ABOUT_AUDIO:
            raise
        # The video must stay available without the list of audio.
        log.warning(
            "mixed audio could not be looked up; continuing without it",
            recording=recording.recall_recording_id,
            error=str(error),
        )
        return recording
    return with_audio(recording, listed, of_several=audio > 1)
