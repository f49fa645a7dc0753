"""Render a transcript's turns as captions: WebVTT and SubRip (SRT)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rtms.recordings.utterances import LONGEST_TOKEN, Token, Turn, joined

_LINE = LONGEST_TOKEN  # code points; broadcasters' guidelines say 37 to 42
_LINES = 2
_LONGEST_CUE = 7.0  # seconds
_SHORTEST_CUE = 300  # milliseconds
_SILENCE = 2.0  # seconds between two words after which a new cue begins


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One caption. No cue begins before the previous one has ended."""

    start: int  # milliseconds
    end: int  # milliseconds, later than the start
    speaker: str
    opens: bool  # whether it is the first of its turn, or after another speaker's
    lines: tuple[str, ...]  # none is empty


def cues(turns: Sequence[Turn]) -> list[Cue]:
    """Break turns into captions of about two lines and seven seconds."""
    found = [
        (tokens, turn.speaker, at == 0)
        for turn in turns
        for at, tokens in enumerate(_groups(turn.tokens))
    ]
    # Captions of people who talk at the same time alternate.
    found.sort(key=lambda each: each[0][0].start)
    starts: list[int] = []
    for tokens, _, _ in found:
        earliest = starts[-1] + _SHORTEST_CUE if starts else 0
        starts.append(max(round(tokens[0].start * 1000), earliest))
    made: list[Cue] = []
    for at, (tokens, speaker, opens) in enumerate(found):
        end = max(round(tokens[-1].end * 1000), starts[at] + _SHORTEST_CUE)
        if at + 1 < len(found):
            end = min(end, starts[at + 1])
        opens = opens or made[-1].speaker != speaker
        lines = tuple(_lines(tokens))
        made.append(Cue(start=starts[at], end=end, speaker=speaker, opens=opens, lines=lines))
    return made


def as_vtt(turns: Sequence[Turn]) -> str:
    """Return WebVTT, with each caption's speaker in a voice tag (W3C: WebVTT, 4.2.2)."""
    blocks = ["WEBVTT"]
    for cue in cues(turns):
        text = _escape("\n".join(cue.lines))
        times = f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}"
        # A name that ends in dashes must not form an arrow with the tag's end.
        gap = " " if cue.speaker.endswith("--") else ""
        blocks.append(f"{times}\n<v {_escape(cue.speaker)}{gap}>{text}")
    return "\n\n".join(blocks) + "\n"


def as_srt(turns: Sequence[Turn]) -> str:
    """Return SubRip. It has no speakers, so a name precedes each turn and change of speaker."""
    blocks = []
    for number, cue in enumerate(cues(turns), start=1):
        text = "\n".join(cue.lines)
        text = f"{cue.speaker}: {text}" if cue.opens else text
        times = f"{_time(cue.start, ',')} --> {_time(cue.end, ',')}"
        # SubRip has no escapes, and an arrow would look like another caption's times.
        blocks.append(f"{number}\n{times}\n{text.replace('-->', '→')}\n")
    return "\n".join(blocks)


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each caption of a turn."""
    group: list[Token] = []
    for token in tokens:
        if group and (
            token.end - group[0].start > _LONGEST_CUE
            or token.start - group[-1].end > _SILENCE
            or len(_lines([*group, token])) > _LINES
        ):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _lines(tokens: Sequence[Token]) -> list[str]:
    lines: list[list[Token]] = []
    length = 0
    for token in tokens:
        length += len(token.text) + (not token.glued)
        if lines and length <= _LINE:
            lines[-1].append(token)
        else:
            lines.append([token])
            length = len(token.text)
    return [joined(line) for line in lines]


def _escape(text: str) -> str:
    """Escape a text, including `-->`, which would end it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"
