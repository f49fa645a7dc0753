"""The moments of a timeline besides the start and the end: copies, answers, hints. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from models import Source
from rtms.dashboard.meetings.moments import Moment, Row, Tone, happened_at, is_zooms

# Lone surrogates are not text, and marks that change the direction of text would disguise a body.
# Both are shown as JSON escapes.
_ESCAPED = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
REQUEST_ANSWERED = "rtms.request_status"
_LIMITED = "rtms.concurrency_limited"
_NAMES = {
    "recording": "the recording",
    "video_mixed": "the video",
    "audio_mixed": "the audio",
    "transcript": "the transcript",
    "participant_events": "the list of participants",
    "meeting_metadata": "the meeting's name",
}
_WITH_THE_RECORDING = timedelta(minutes=1)


def other_moments(row: Row, events: Sequence[Row], recordings: Sequence[Row]) -> Iterator[Moment]:
    """Yield a moment for each event of a run that `timeline` does not get from the row.

    Args:
        row: of `meeting_direct_connects`.
        events: of `webhook_events`; the answer to a request with its `payload`.
        recordings: of `recordings`.
    """
    stops = 0
    for each in events:
        if each["source"] == Source.RECALL:
            yield from _hint(each, recordings)
        elif each["event"] == REQUEST_ANSWERED:
            yield Moment(
                at=happened_at(each),
                what="Zoom reported the answer to a request to start a stream",
                event_id=each["id"],
                body=pretty(each["payload"]),
            )
        elif each["event"] == _LIMITED:
            what = "Zoom started no stream: the account is at its limit of concurrent streams"
            yield Moment(at=happened_at(each), what=what, tone="bad", event_id=each["id"])
        elif is_zooms(each, ".rtms_started"):
            if each["event_ts"] != row["event_ts"]:
                yield _said(each, "Zoom reported again that the stream began")
        elif is_zooms(each, ".rtms_stopped"):
            stops += 1
            if stops > 1 or not row["stopped_at"]:
                yield _said(each, "Zoom reported that the stream stopped")
        elif each["event"] == "meeting.started":
            yield Moment(at=happened_at(each), what="The meeting began", event_id=each["id"])
        elif not is_zooms(each, ".rtms_interrupted"):
            yield _said(each, "Zoom sent another event about the stream", each["event"])


def pretty(payload: object) -> str:
    """Format a body as JSON, with escapes for what would change the direction of text."""
    text = json.dumps(payload, indent=2, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _said(event: Row, what: str, name: str = "") -> Moment:
    _, _, why = event["outcome"].partition(": ")
    said = ", ".join(filter(None, (name, why)))
    return Moment(at=event["received_at"], what=what, said=said, event_id=event["id"])


def _hint(event: Row, recordings: Sequence[Row]) -> Iterator[Moment]:
    """Yield one of Recall's status webhooks, unless the recording's own moments cover it."""
    kind, _, verb = event["event"].rpartition(".")
    thing, at = _NAMES.get(kind), event["received_at"]
    if thing is None or verb not in ("processing", "done", "failed", "deleted"):
        what = "Recall sent a webhook that this server does not know"
        yield Moment(at=at, what=what, said=event["event"], event_id=event["id"])
    elif not any(_covers(each, kind, verb, event) for each in recordings):
        ends = {
            "processing": f"Recall is working on {thing}",
            "done": f"Recall has {thing}",
            "failed": f"Recall could not produce {thing}",
            "deleted": f"{thing[0].upper()}{thing[1:]} was deleted at Recall",
        }
        tone: Tone = "bad" if verb in ("failed", "deleted") else "plain"
        yield Moment(at=at, what=ends[verb], tone=tone, event_id=event["id"])


def _covers(recording: Row, kind: str, verb: str, event: Row) -> bool:
    """Return whether a recording's own moments say as much as a status webhook about it."""
    if kind == "recording":
        return verb in ("processing", recording["status"])
    if verb == "processing":
        return kind in recording["media"]
    over_at = recording["completed_at"]
    return (
        verb == "done"
        and recording["media"].get(kind) == "done"
        and over_at is not None
        and event["received_at"] <= over_at + _WITH_THE_RECORDING
    )
