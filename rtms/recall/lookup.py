"""Asking Recall what it has of a connection, the mixed audio included that its shortcuts leave out.

Recall lists few kinds of media among a recording's shortcuts. Mixed audio that was asked for and is
not there is looked up by the recording's id (Recall: list audio_mixed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from rtms.recall.client import Recall, RecallError
from rtms.recall.recording_config import is_audio
from rtms.recall.responses import (
    DirectConnectState,
    RecordingState,
    read_direct_connect,
    with_audio,
)

# 4xx that pass, or that say nothing about this list.
_NOT_ABOUT_AUDIO = (401, 402, 408, 409, 425, 429)

log = structlog.get_logger()


def at_once() -> None:
    """Wait for no turn: a person asks."""


def look_up(
    recall: Recall,
    recall_id: str | None,
    *,
    audio: int,
    take_turn: Callable[[], None] = at_once,
) -> DirectConnectState:
    """Ask for a connection as Recall has it now.

    Args:
        audio: how many mixed audios each recording should have (`recording_config.audio_count`).
        take_turn: is called before each request after the first, and returns when it may be made.
            What it raises is not caught.

    Raises:
        RecallError: Recall did not answer with it.
    """
    found = read_direct_connect(recall.retrieve_direct_connect(recall_id))
    recordings = (_whole(recall, each, audio, take_turn) for each in found.recordings)
    return replace(found, recordings=tuple(recordings))


def _whole(
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
        # A list that cannot be had must not keep the video from anybody.
        log.warning(
            "mixed audio could not be looked up; going on without it",
            recording=recording.recall_recording_id,
            error=str(error),
        )
        return recording
    return with_audio(recording, listed, of_several=audio > 1)
