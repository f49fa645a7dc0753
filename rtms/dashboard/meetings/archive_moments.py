"""The moments of a timeline that are about recordings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from rtms.dashboard.meetings.media import MEDIA
from rtms.dashboard.meetings.moments import Moment, Row

_NOUNS = {kind: f"the {label.lower()}" for kind, label in MEDIA.items()}
_NOUNS["participant_events"] = "the list of participants"
_WITHOUT_FILE = ("meeting_metadata",)


def recorded(recording: Row, now: datetime) -> Iterator[Moment]:
    """Yield how a recording ended, whether it was archived, and until when Recall keeps it.

    Args:
        recording: a row of `recordings`.
        now: what is later is still to come.
    """
    yield _ended(recording)
    if recording["archived_at"]:
        what = "The recording was stored under ARCHIVE_URL"
        yield Moment(at=recording["archived_at"], what=what, tone="good")
    if recording["archive_error"]:
        subject = "Media added later" if recording["archived_at"] else "The recording"
        what = f"{subject}: not stored yet"
        if recording["archive_due_at"] is None:
            what = f"{subject}: not stored, and not tried again"
        yield Moment(at=None, what=what, said=recording["archive_error"], tone="bad")
    if recording["expires_at"] and recording["status"] != "deleted":
        if recording["expires_at"] <= now:
            what = "The recording expired at Recall: its media are deleted"
            yield Moment(at=recording["expires_at"], what=what)
        else:
            what = "Recall deletes the recording's media"
            yield Moment(at=recording["expires_at"], what=what, tone="ahead")


def media_summary(media: Mapping[str, str]) -> str:
    """Return which media are ready, which are being processed, and which failed."""
    by_status: dict[str, list[str]] = {}
    for kind in sorted(media, key=lambda kind: list(_NOUNS).index(kind) if kind in _NOUNS else 99):
        if kind not in _WITHOUT_FILE:
            by_status.setdefault(media[kind], []).append(_NOUNS.get(kind, kind))
    sentences = []
    for status, kinds in by_status.items():
        things = _listed(kinds)
        verb = "is" if len(kinds) == 1 else "are"
        match status:
            case "done":
                sentences.append(f"{things} {verb} ready")
            case "processing":
                sentences.append(f"{things} {verb} being processed")
            case "failed":
                sentences.append(f"{things} failed")
            case _:
                sentences.append(f"{things} {verb} {status}")
    return "; ".join(sentences)


def _ended(recording: Row) -> Moment:
    status, at, code = recording["status"], recording["completed_at"], recording["sub_code"] or ""
    match status:
        case "done":
            there = media_summary(recording["media"])
            detail = f"{there[0].upper()}{there[1:]}." if there else ""
            what = "The recording is ready"
            return Moment(at=at, what=what, detail=detail, said=code, tone="good")
        case "failed":
            return Moment(at=at, what="The recording failed", said=code, tone="bad")
        case "deleted":
            what = "The recording was deleted at Recall"
            return Moment(at=at, what=what, said=code, tone="bad")
        case "processing" | "paused":
            return Moment(at=at, what="A recording is in progress", said=code)
    said = ", ".join(filter(None, (status, code)))
    return Moment(at=at, what="A recording is in progress", said=said)


def _listed(words: list[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"
