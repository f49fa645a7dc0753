"""Parse Recall's response to a retrieve: a direct connect, its recordings and their media (Recall:
retrieve; Recall: recordings).

New statuses, new kinds of media and missing fields are normal, so nothing here raises. Invalid
values are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from rtms.recall.recording_config import AUDIO, is_audio
from rtms.text import shown

UNKNOWN = "unknown"  # where Recall gives no status
_LINK = "download_url"
_OVER = frozenset({"done", "failed", "deleted"})
_MAX_TEXT = 255  # characters


@dataclass(frozen=True, kw_only=True)
class Medium:
    """One medium of a recording. Its `repr` never shows a link: a pre-signed link gives access."""

    kind: str  # video_mixed, audio_mixed, transcript, participant_events, meeting_metadata, …
    status: str  # processing, done, failed, deleted, …
    format: str | None  # mp4, mp3, raw, …
    links: Mapping[str, str] = field(hash=False)  # every `…download_url` by name
    created_at: datetime | None = None  # when Recall began to make it

    def __repr__(self) -> str:
        names = ", ".join(self.links) or "no link"
        return f"<Medium {self.kind}: {self.status} ({names})>"


@dataclass(frozen=True, kw_only=True)
class RecordingState:
    """A recording as Recall has it now."""

    recall_recording_id: str
    status: str  # processing, done, failed, deleted, paused, …
    sub_code: str | None
    title: str | None  # the meeting's topic, if `meeting_metadata` was requested
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None  # when Recall deletes the media; None where unknown or never
    media: tuple[Medium, ...]

    @property
    def has_ended(self) -> bool:
        """Whether the recording is done, failed or deleted. Media may still be processing."""
        return self.status in _OVER

    @property
    def is_over(self) -> bool:
        """Whether the recording has ended and none of its media is processing."""
        return self.has_ended and not any(m.status == "processing" for m in self.media)

    @property
    def has_links(self) -> bool:
        """Whether any medium can be downloaded."""
        return any(medium.links for medium in self.media)

    def media_statuses(self) -> dict[str, str]:
        """Return the media as the table stores them: kind → status."""
        return {medium.kind: medium.status for medium in self.media}


@dataclass(frozen=True, kw_only=True)
class DirectConnectState:
    """A direct connect as Recall has it now."""

    status: str | None
    sub_code: str | None
    recordings: tuple[RecordingState, ...]


def read_direct_connect(body: Mapping[str, Any]) -> DirectConnectState:
    """Parse a retrieved `meeting_direct_connect`. Recordings without a usable id are skipped."""
    body = _object(body)
    recordings: dict[str, RecordingState] = {}
    listed = body.get("recordings")
    for each in listed if isinstance(listed, list) else ():
        recording = _recording(_object(each))
        if recording is not None:
            recordings.setdefault(recording.recall_recording_id, recording)
    status, sub_code = read_status(body)
    return DirectConnectState(
        status=status, sub_code=sub_code, recordings=tuple(recordings.values())
    )


def with_audio(
    recording: RecordingState, listed: Sequence[object], *, of_several: bool
) -> RecordingState:
    """Return a recording with mixed audio from its separate list (Recall: list audio_mixed): one of
    each format, mp3 first.

    Args:
        listed: the list's results.
        of_several: whether several formats were requested. Then `audio_mixed` is the mp3, and the
            kind of another format ends in its name.
    """
    media = list(recording.media)
    found = [_medium(AUDIO, each) for each in listed if isinstance(each, Mapping)]
    found.sort(key=lambda m: (m.format != "mp3", m.format or "", m.status != "done"))
    for medium in found:
        there = {m.format: m.kind for m in media if is_audio(m.kind)}
        if medium.format in there:
            continue
        is_plain = medium.format in ("mp3", None) or not of_several
        kind = AUDIO if is_plain and AUDIO not in there.values() else f"{AUDIO}_{medium.format}"
        media.append(replace(medium, kind=kind))
    return replace(recording, media=tuple(media))


def _recording(body: Mapping[str, Any]) -> RecordingState | None:
    recording_id = _text(body.get("id"))
    if recording_id is None or recording_id != body["id"]:  # it was cut, so it is not the id
        return None
    status, sub_code = read_status(body)
    shortcuts = _object(body.get("media_shortcuts"))
    about_meeting = _object(_object(shortcuts.get("meeting_metadata")).get("data"))
    return RecordingState(
        recall_recording_id=recording_id,
        status=status or UNKNOWN,
        sub_code=sub_code,
        title=_shown(about_meeting.get("title")),
        started_at=_moment(body.get("started_at")),
        completed_at=_moment(body.get("completed_at")),
        expires_at=_moment(body.get("expires_at")),
        media=tuple(_media(shortcuts)),
    )


def _media(shortcuts: Mapping[str, Any]) -> Iterator[Medium]:
    for kind, body in shortcuts.items():
        if isinstance(body, Mapping) and _text(kind) == kind:
            yield _medium(kind, body)


def _medium(kind: str, body: Mapping[str, Any]) -> Medium:
    links = {
        name: link
        for name, link in _object(body.get("data")).items()
        if name.endswith(_LINK) and _text(name) == name and isinstance(link, str) and link
    }
    return Medium(
        kind=kind,
        status=read_status(body)[0] or UNKNOWN,
        format=_text(body.get("format")),
        links=MappingProxyType(links),
        created_at=_moment(body.get("created_at")),
    )


def read_status(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the status's code and sub-code. A status that is a plain string is its code."""
    status = body.get("status")
    if isinstance(status, str):
        return _text(status), None
    return _text(_object(status).get("code")), _shown(_object(status).get("sub_code"))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: object) -> str | None:
    """Return a text for display."""
    return shown(value, _MAX_TEXT) if isinstance(value, str) else None


def _text(value: object) -> str | None:
    """Return a printable text, cut to the limit. (Databases refuse NUL and lone surrogates.)"""
    if not isinstance(value, str) or not value or not value.isprintable():
        return None
    return value[:_MAX_TEXT]


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
