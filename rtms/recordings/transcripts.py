"""Read Recall's transcript files and render them as text, captions or JSON (Recall: transcript
schema)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, assert_never, get_args

from rtms.recordings.captions import as_srt, as_vtt
from rtms.recordings.utterances import Part, Turn, Word, turns
from rtms.text import shown

Format = Literal["txt", "vtt", "srt", "json"]
FORMATS: tuple[str, ...] = get_args(Format)

_LATEST = 100 * 3600.0 - 1  # seconds: captions have two digits for hours
_MAX_NAME = 100  # characters


class NotATranscript(ValueError):
    """The data is not a transcript of Recall's. The message says what it is."""


def read_parts(data: object) -> list[Part]:
    """Parse a transcript's JSON. Participants without a name become `Speaker 1`, `Speaker 2`, … in
    the order in which they first speak. Parts and words without text are left out.

    Raises:
        NotATranscript: it is not a list of parts.
    """
    if not isinstance(data, list):
        raise NotATranscript(
            f"This is not a transcript: a list of parts was expected, not {_type_name(data)}."
        )
    found = [each for each in data if _is_part(each)]
    if data and not found:
        raise NotATranscript(
            "This is not a transcript: it is a list, but nothing in it has a list of `words`."
        )
    spoken = [(_participant(each), words) for each in found if (words := _words(each["words"]))]
    names = _names([participant for participant, _ in spoken])
    return [Part(participant=key, speaker=names[key], words=words) for (key, _), words in spoken]


def render(parts: Sequence[Part], format: Format) -> str:
    """Return a transcript in a format.

    Args:
        parts: from `read_parts`.
        format: `txt`, a line a turn; `vtt` and `srt`, captions; `json`, a list of
            `{speaker, start, end, text}` with times in seconds.
    """
    found = turns(parts)
    match format:
        case "txt":
            return "".join(f"[{_clock(t.start)}] {t.speaker}: {t.text}\n" for t in found)
        case "vtt":
            return as_vtt(found)
        case "srt":
            return as_srt(found)
        case "json":
            listed = [_as_json(turn) for turn in found]
            return json.dumps(listed, ensure_ascii=False, indent=2) + "\n"
    assert_never(format)


def _is_part(each: object) -> bool:
    return isinstance(each, dict) and isinstance(each.get("words"), list)


def _participant(part: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a participant's key, and the name, if any."""
    participant = part.get("participant")
    participant = participant if isinstance(participant, dict) else {}
    given = participant.get("name")
    name = shown(given, _MAX_NAME) if isinstance(given, str) else None
    number = participant.get("id")
    if isinstance(number, int | float | str) and number != "":
        return f"id {number}", name
    return f"name {name}", name


def _names(participants: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Return a name for each participant. A name in any part of the transcript applies to all."""
    known: dict[str, str] = {}
    for key, name in participants:
        if name is not None:
            known.setdefault(key, name)
    taken = set(known.values())
    numbers = (f"Speaker {number}" for number in range(1, len(participants) + len(taken) + 1))
    free = (name for name in numbers if name not in taken)
    for key, _ in participants:
        if key not in known:
            known[key] = next(free)
    return known


def _words(listed: list[Any]) -> tuple[Word, ...]:
    return tuple(
        Word(
            text=text,
            start=_time(each.get("start_timestamp")),
            end=_time(each.get("end_timestamp")),
        )
        for each in listed
        if isinstance(each, dict)
        and isinstance(each.get("text"), str)
        and (text := shown(each["text"], len(each["text"])))
    )


def _time(stamp: object) -> float | None:
    """Return the seconds since the recording's start; None where the value is invalid."""
    relative = stamp.get("relative") if isinstance(stamp, dict) else None
    if isinstance(relative, bool) or not isinstance(relative, int | float):
        return None
    return float(relative) if 0 <= relative <= _LATEST else None  # neither NaN nor infinity is


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _as_json(turn: Turn) -> dict[str, Any]:
    return {
        "speaker": turn.speaker,
        "start": round(turn.start, 3),
        "end": round(turn.end, 3),
        "text": turn.text,
    }


def _type_name(data: object) -> str:
    return {dict: "an object", str: "a text", type(None): "null"}.get(type(data), "something else")
