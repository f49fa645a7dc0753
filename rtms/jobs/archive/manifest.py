"""The manifest of an archived recording: a JSON file that lists and explains its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtms import clock
from rtms.db.database import AnyRow
from rtms.jobs.archive.storage import NotStored, Store
from rtms.recall.responses import RecordingState
from rtms.recordings.recording_names import RecordingNames, topics
from rtms.rows import as_json

_MAX_MANIFEST = 1024 * 1024  # bytes


def stored_before(
    store: Store, meeting: AnyRow, recording: RecordingState
) -> tuple[RecordingNames, list[Mapping[str, Any]]]:
    """Return a recording's file names, and the files that its manifest already lists.

    What was stored before the meeting's topic was known keeps its names, so that nothing is stored
    twice.

    Raises:
        NotStored: the storage does not answer.
    """
    for topic in topics(meeting, recording):
        named = RecordingNames(meeting, recording, topic)
        content = store.read(named.folder, named.manifest, at_most=_MAX_MANIFEST)
        if content is not None:
            return named, _files_in(content)
    return RecordingNames(meeting, recording), []


def _files_in(content: bytes) -> list[Mapping[str, Any]]:
    try:
        listed = json.loads(content).get("files", [])
        return [each for each in listed if isinstance(each["file"], str)]
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return []  # not a manifest of ours: it is overwritten


def manifest(
    meeting: AnyRow,
    recording: RecordingState,
    files: Sequence[Mapping[str, Any]],
    earlier: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """Return a manifest that explains the files without this program. It contains no link.

    Args:
        files: the files that were stored or found now.
        earlier: the previous manifest's files, kept even if Recall no longer has them.
    """
    names = {each["file"] for each in files}
    kept = [each for each in earlier if each["file"] not in names]
    about = {
        "recording_id": recording.recall_recording_id,
        "title": recording.title or meeting.topic,
        "started_at": recording.started_at,
        "completed_at": recording.completed_at,
        "expires_at": recording.expires_at,
        "media": recording.media_statuses(),
        "files": [*files, *kept],
        "meeting": {name: meeting._mapping[name] for name in _MEETING_FIELDS},
        "stored_at": clock.now(),
    }
    return json.dumps(about, indent=2, ensure_ascii=False, default=as_json).encode() + b"\n"


def write_whole(path: Path, content: bytes) -> int:
    """Write a small file completely or not at all, and return its size in bytes."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise NotStored(f"{path.name} cannot be stored: {why}.") from None
    return len(content)


_MEETING_FIELDS = (
    "meeting_uuid",
    "meeting_id",
    "topic",
    "product",
    "rtms_stream_id",
    "account_id",
    "operator_id",
    "host_id",
    "recall_id",
    "received_at",
    "connected_at",
    "stopped_at",
)
