"""Names of the files and folders of a recording, on disk and in the archive. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rtms.db.database import AnyRow
from rtms.recall.responses import Medium, RecordingState
from rtms.recordings.filenames import file_name, is_nameable, kind_and_extension


@dataclass(frozen=True)
class RecordingNames:
    """The names of one recording's files."""

    meeting: AnyRow
    recording: RecordingState
    topic: str | None = None  # the topic of existing files, if another

    @property
    def folder(self) -> str:
        began = self._began
        return f"{began:%Y/%m}" if began else "undated"

    @property
    def manifest(self) -> str:
        # No medium's file can have this name: those end in a kind and one extension.
        return self._name("manifest", ".json").removesuffix("_manifest.json") + ".manifest.json"

    def file(self, medium: Medium, link: str) -> str:
        return self._name(*kind_and_extension(medium, link))

    @property
    def _began(self) -> datetime | None:
        began: datetime | None = self.recording.started_at or self.meeting.connected_at
        return began

    def _name(self, kind: str, extension: str) -> str:
        topic = self.topic or next(iter(topics(self.meeting, self.recording)), None)
        return file_name(self._began, topic, self.recording.recall_recording_id, kind, extension)


def topics(meeting: AnyRow, recording: RecordingState) -> list[str]:
    """Return the topics that a recording's file names may contain, the best first."""
    known = (recording.title, meeting.topic, meeting.meeting_id, meeting.meeting_uuid)
    return [topic for topic in known if topic and is_nameable(topic)]
