"""Names of downloaded files: sortable, descriptive, and safe inside their folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rtms.recall.responses import Medium
from rtms.text import without_invisible
from rtms.text_breaks import cut

_MAX_NAME = 200  # bytes: file systems allow 255, and a partial file's name is longer
_MAX_WORD = 80  # bytes of a recording's id or a kind
_DOWNLOAD_URL = "download_url"

# Recall's kinds, and the names of links that distinguish the files of one kind.
_SHORT = {
    "video_mixed": "video",
    "audio_mixed": "audio",
    "transcript": "transcript",
    "transcript_provider_data": "transcript-provider-data",
    "participant_events": "participant-events",
    "participants": "participants",
    "speaker_timeline": "speaker-timeline",
}
_EXTENSIONS = {"video": ".mp4", "audio": ".mp3"}  # where Recall names no format
_OWN_FILES = ("participant_events", "participants", "speaker_timeline")


class UnsafeName(ValueError):
    """A file's name would lead outside its folder."""


def file_name(
    started_at: datetime | None,
    topic_or_meeting: str | None,
    recording_id: str,
    kind: str,
    extension: str,
) -> str:
    """Return a file's name: `2026-11-22T0930Z_Weekly-sync_<recording>_video.mp4`.

    Args:
        started_at: when the recording started; aware.
        topic_or_meeting: the meeting's topic, number or UUID.
        recording_id: Recall's.
        kind: Recall's kind, or the short one of `kind_and_extension`.
        extension: with its dot.

    Returns:
        At most 200 bytes of UTF-8: letters, digits and `-`, with `_` and `.` as separators.

    Raises:
        ValueError: `started_at` has no time zone.
    """
    if started_at is not None and started_at.tzinfo is None:
        raise ValueError(f"a datetime without a time zone: {started_at}")
    # "undated" sorts after the others, which begin with a digit.
    when = f"{started_at.astimezone(UTC):%Y-%m-%dT%H%MZ}" if started_at else "undated"
    ending = f"_{_unique(recording_id)}_{_kind(kind)}{_extension(extension)}"
    left = _MAX_NAME - len(f"{when}_{ending}".encode())
    topic = _cut(_safe(topic_or_meeting or ""), left) or "meeting"
    return f"{when}_{topic}{ending}"


def is_of_recording(name: str, recording_id: str) -> bool:
    """Return whether a file's name is one of a recording's: `file_name` or its manifest's, also
    while it is partial.

    Args:
        recording_id: Recall's.
    """
    unique = re.escape(_unique(recording_id))
    return re.search(rf"_{unique}(_[^_]+\.|\.manifest\.json)", name) is not None


def is_nameable(topic: str) -> bool:
    """Return whether a topic has characters that may be in a file's name. Emoji, for example, may
    not."""
    return bool(_safe(topic))


def label(name: str) -> str:
    """Return a short label for a file's name: `2026-11-22 09:30 Weekly-sync, video`. It leaves out
    the recording's id."""
    when, topic, *_, kind = name.split("_")
    began = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)Z", when)
    date = f"{began[1]} {began[2]}:{began[3]}" if began else when
    return f"{date} {topic}, {kind.rpartition('.')[0]}"


def kind_and_extension(medium: Medium, link: str) -> tuple[str, str]:
    """Return the short kind and extension of the file behind a link: ("video", ".mp4")."""
    stem = link.removesuffix(_DOWNLOAD_URL).strip("_")
    if not stem:
        name = medium.kind
    elif stem in _OWN_FILES and medium.kind == "participant_events":
        name = stem
    else:
        name = f"{medium.kind}_{stem}"
    kind = _kind(name)
    if name not in _SHORT:
        if kind in _SHORT.values():  # a kind of Recall's that equals one of our short names
            kind = f"{kind}-other"
        path = _path(medium.links.get(link, ""))
        return kind, _extension(f".{medium.format}" if medium.format else Path(path).suffix)
    if kind in _EXTENSIONS:
        return kind, _extension(f".{medium.format}" if medium.format else _EXTENSIONS[kind])
    return kind, ".json"


def inside(directory: Path, name: str) -> Path:
    """Return the path of a file in a folder.

    Raises:
        UnsafeName: the name leads outside the folder, or a symbolic link of that name exists.
    """
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise UnsafeName(f"{name!r} is not a valid file name: choose another.")
    folder = directory.resolve()
    path = folder / name
    if path.parent != folder or path.is_symlink():
        raise UnsafeName(f"{name!r} leads outside {folder}: remove the link, or choose another.")
    return path


def _kind(kind: str) -> str:
    if kind in _SHORT:
        return _SHORT[kind]
    if kind in _SHORT.values():
        return kind
    return _unique(kind.replace("_", "-"))


def _extension(extension: str) -> str:
    return extension.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", extension) else ".bin"


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _unique(text: str) -> str:
    """Return a safe form of a text, with a digest if it is not the same as the text."""
    safe = _cut(_safe(text), _MAX_WORD)
    if safe and safe == text:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe}-{digest}" if safe else digest


def _safe(text: str) -> str:
    """Keep letters, marks and digits of any script; replace runs of anything else by one dash.

    The compatibility form comes first: it turns look-alikes of `/` and `.` into these characters.
    """
    plain = unicodedata.normalize("NFKC", without_invisible(text))
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else "-" for c in plain)
    return re.sub(r"-+", "-", kept).strip("-")


def _cut(text: str, size: int) -> str:
    """Return at most this many bytes of a text, without splitting a visible character."""
    kept = text.encode()[: max(size, 0)].decode("utf-8", "ignore")
    return cut(text, len(kept)).rstrip("-")
