"""The objects that Recall creates for a Direct Connect call, and their JSON."""

import hashlib
import hmac
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

Ending = Literal["done", "failed", "deleted"]
KEPT_SECONDS = 7 * 86400.0  # Recall keeps media for seven days unless told otherwise
TITLE = "Weekly sync"  # the default title of a meeting
MEDIA = ("video_mixed", "audio_mixed_mp3", "audio_mixed_raw", "transcript", "participant_events")
LinkFor = Callable[[str, str], str]  # (medium id, file name) -> pre-signed URL


def iso(moment: float | None) -> str | None:
    """Format unix seconds as Recall does."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _status(code: str, at: float | None, sub_code: str | None = None) -> dict[str, Any]:
    return {"code": code, "sub_code": sub_code, "updated_at": iso(at)}


@dataclass
class Connection:
    """A meeting_direct_connect, and the recording that it gets when it ends."""

    meeting_uuid: str
    stream_id: str
    server_urls: str
    metadata: dict[str, str | None] | None
    recording_config: dict[str, Any]
    title: str = TITLE  # of the meeting
    signature_ok: bool | None = None  # None: not checked, because there is no client secret
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    recording_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = field(default_factory=time.time)  # unix seconds
    ended_at: float | None = None  # unix seconds
    ended_by: str | None = None  # stream_ended, kicked_out or failed_over
    processing_seconds: float = 0.0  # from the end until the recording is ready
    ending: Ending = "done"  # the recording's final status
    sub_code: str | None = None  # of a recording that failed
    audio_shortcut: bool = True  # False: audio is only in its own list
    # Media whose status differs from the recording's: kind -> its status (None: there is no such
    # medium) and since when, in unix seconds.
    media: dict[str, tuple[str | None, float]] = field(default_factory=dict)

    @property
    def kicked_out(self) -> bool:
        """Whether a second connection to the same stream kicked this one out."""
        return self.ended_by == "kicked_out"

    @property
    def keeps_nothing(self) -> bool:
        """Whether zero data retention was requested: nothing can ever be downloaded."""
        return "retention" in self.recording_config and self.recording_config["retention"] is None

    def recording_code(self, now: float) -> str | None:
        """Return the recording's status code, or None while there is no recording."""
        if self.ended_at is None:
            return None
        ready = now >= self.ended_at + self.processing_seconds
        return self.ending if ready else "processing"

    def as_recall(self, now: float, link: LinkFor) -> dict[str, Any]:
        """Return the object as retrieve and list show it (Recall: retrieve)."""
        if self.ended_at is None:
            status = _status("recording", self.created_at)
        else:
            status = _status("done", self.ended_at, self.ended_by)
        recording = self._recording(now, link)
        return {
            "id": self.id,
            "status": status,
            "recordings": [recording] if recording else [],
            "metadata": self.metadata or {},
        }

    def as_created(self) -> dict[str, Any]:
        """Return the object as the answer to a create shows it."""
        return {
            "id": self.id,
            "status": _status("connecting", self.created_at),
            "recordings": [],
            "metadata": self.metadata or {},
        }

    def _recording(self, now: float, link: LinkFor) -> dict[str, Any] | None:
        code = self.recording_code(now)
        if code is None or self.ended_at is None:
            return None
        completed = None if code == "processing" else self.ended_at + self.processing_seconds
        return {
            "id": self.recording_id,
            "status": _status(code, completed or self.ended_at, self.sub_code),
            "created_at": iso(self.created_at),
            "started_at": iso(self.created_at),
            "completed_at": iso(completed),
            "expires_at": None
            if completed is None or self.keeps_nothing
            else iso(completed + KEPT_SECONDS),
            "media_shortcuts": None
            if code != "done" or self.keeps_nothing
            else self._shortcuts(completed, link),
            "metadata": self.recording_config.get("metadata") or {},
            "bot": None,
            "desktop_sdk_upload": None,
        }

    def _shortcuts(self, at: float | None, link: LinkFor) -> dict[str, Any]:
        def file(kind: str, name: str) -> str:
            return link(self.medium_id(kind), name)

        events = "participant_events"
        audio = self.audio(link) if self.audio_shortcut else []
        return {
            "video_mixed": self._medium(
                "video_mixed", at, {"download_url": file("video_mixed", "meeting.mp4")}, "mp4"
            ),
            "audio_mixed": audio[0] if audio else None,
            "transcript": self._medium(
                "transcript",
                at,
                {
                    "download_url": file("transcript", "transcript.json"),
                    "provider_data_download_url": None,
                },
            ),
            events: self._medium(
                events,
                at,
                {
                    "participant_events_download_url": file(events, "participant_events.json"),
                    "participants_download_url": file(events, "participants.json"),
                    "speaker_timeline_download_url": file(events, "speaker_timeline.json"),
                },
            ),
            "meeting_metadata": self._medium(
                "meeting_metadata",
                at,
                {"title": self.title, "zoom": {"meeting_uuid": self.meeting_uuid}},
            ),
        }

    def audio(self, link: LinkFor) -> list[dict[str, Any]]:
        """Return the mixed audio that was requested, as the list of audio_mixed shows it."""
        if self.ended_at is None or self.recording_code(time.time()) != "done":
            return []
        asked = self.recording_config
        at = self.ended_at + self.processing_seconds
        made = [
            self._medium(
                kind, at, {"download_url": link(self.medium_id(kind), f"audio.{form}")}, form
            )
            for form in ("mp3", "raw")
            if asked.get(kind := f"audio_mixed_{form}") is not None and not self.keeps_nothing
        ]
        return [each for each in made if each is not None]

    def _medium(
        self, kind: str, at: float | None, data: dict[str, Any], form: str | None = None
    ) -> dict[str, Any] | None:
        code, changed_at = self.media.get(kind, ("done", at))
        if code is None:
            return None
        return {
            "id": self.medium_id(kind),
            "created_at": iso(changed_at),
            "status": _status(code, changed_at),
            "metadata": self.recording_config.get("metadata") or {},
            "data": data if code == "done" else dict.fromkeys(data),
        } | ({"format": form} if form else {})

    def medium_id(self, kind: str) -> str:
        """Return the lasting id of one medium of the recording."""
        return str(uuid.uuid5(uuid.UUID(self.recording_id), kind))


class Connections:
    """All connections, and the live one of each stream."""

    def __init__(self, client_id: str | None, client_secret: str | None) -> None:
        """Check join signatures if the Zoom app's credentials are given."""
        self._lock = threading.Lock()
        self._made: list[Connection] = []
        self._by_id: dict[str, Connection] = {}
        self._live: dict[str, Connection] = {}  # rtms_stream_id -> its connection
        self._of_medium: dict[str, Connection] = {}
        self._titles: dict[str, str] = {}  # meeting_uuid -> title
        self._credentials = (client_id, client_secret)

    def name_meeting(self, meeting_uuid: str, title: str) -> None:
        """Set the title of a meeting for connections made from now on."""
        self._titles[meeting_uuid] = title

    def make(
        self, body: dict[str, Any], seconds: float, *, audio_shortcut: bool = True
    ) -> tuple[Connection, Connection | None]:
        """Connect a stream. Also return the connection that this ended, if one was live.

        The same server_urls kick the older connection out. Different ones mean that the stream's
        server failed over and the older connection was dead (Zoom: failover and reconnection).
        """
        rtms = body["zoom_rtms"]
        connection = Connection(
            meeting_uuid=rtms["meeting_uuid"],
            stream_id=rtms["rtms_stream_id"],
            server_urls=rtms["server_urls"],
            metadata=body.get("metadata"),
            recording_config=body.get("recording_config") or {},
            title=self._titles.get(rtms["meeting_uuid"], TITLE),
            signature_ok=self._signature_ok(rtms),
            processing_seconds=seconds,
            audio_shortcut=audio_shortcut,
        )
        with self._lock:
            older = self._live.get(connection.stream_id)
            if older is not None:
                same = older.server_urls == connection.server_urls
                older.ended_at = connection.created_at
                older.ended_by = "kicked_out" if same else "failed_over"
            self._live[connection.stream_id] = connection
            self._made.append(connection)
            self._by_id[connection.id] = connection
            for kind in MEDIA:
                self._of_medium[connection.medium_id(kind)] = connection
            return replace(connection), replace(older) if older else None

    def end(self, stream_id: str, ending: Ending, sub_code: str | None) -> Connection | None:
        """End the live connection of a stream, or change the ending of the last one."""
        with self._lock:
            connection = self._live.pop(stream_id, None)
            if connection is None:
                made = (each for each in reversed(self._made) if each.stream_id == stream_id)
                connection = next(made, None)
            if connection is None:
                return None
            connection.ended_at = connection.ended_at or time.time()
            connection.ended_by = connection.ended_by or "stream_ended"
            connection.ending, connection.sub_code = ending, sub_code
            return replace(connection)

    def change_medium(self, stream_id: str, kind: str, code: str | None) -> Connection | None:
        """Set the status of a medium of a stream's last recording; None: there is none."""
        with self._lock:
            made = (each for each in reversed(self._made) if each.stream_id == stream_id)
            connection = next(made, None)
            if connection is None:
                return None
            connection.media = connection.media | {kind: (code, time.time())}
            return replace(connection)

    def of_recording(self, recording_id: str) -> Connection | None:
        """Return the connection that a recording belongs to, as it is now."""
        with self._lock:
            made = (each for each in self._made if each.recording_id == recording_id)
            found = next(made, None)
            return replace(found) if found else None

    def get(self, connection_id: str) -> Connection | None:
        """Return a copy of a connection."""
        with self._lock:
            found = self._by_id.get(connection_id)
            return replace(found) if found else None

    def of_medium(self, medium_id: str) -> Connection | None:
        """Return the connection that a medium belongs to, as it is now."""
        with self._lock:
            found = self._of_medium.get(medium_id)
            return replace(found) if found else None

    def all(self) -> list[Connection]:
        """Return every connection as it is now, oldest first."""
        with self._lock:
            return [replace(each) for each in self._made]

    def as_json(self) -> list[dict[str, Any]]:
        """Return every connection for the control routes, oldest first."""
        return [asdict(each) | {"kicked_out": each.kicked_out} for each in self.all()]

    def _signature_ok(self, rtms: dict[str, str]) -> bool | None:
        client_id, secret = self._credentials
        if client_id is None or secret is None:
            return None
        message = f"{client_id},{rtms['meeting_uuid']},{rtms['rtms_stream_id']}"
        signed = message.encode("utf-8", "replace")
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), rtms["signature"].encode("utf-8", "replace"))
