"""Who said what when: the parts of a transcript, put in order, timed, and joined into turns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

_PAUSE = 3.0  # seconds of silence after which the same speaker begins a new turn
_LETTERS_A_SECOND = 15.0  # of speech, where nobody says how long it took
_SHORTEST = 1.0  # seconds of speech, likewise
_LONGEST_WORD = 7.0  # seconds that a word may take by its own times, unless it is a long text
LONGEST_TOKEN = 42  # letters: a line of a caption

# Scripts that are written without spaces: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]"
)


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word, or with captions a whole sentence. Times are seconds since the recording's start."""

    text: str  # one line, not empty
    start: float | None
    end: float | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one participant said, as Recall cut it."""

    participant: str  # the same for the same person
    speaker: str  # the person's name, or `Speaker 1`
    words: tuple[Word, ...]  # at least one

    @property
    def start(self) -> float | None:
        """When it begins, where any of its words says so."""
        return next((word.start for word in self.words if word.start is not None), None)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A bit of speech that is not broken any more, with its times."""

    text: str
    glued: bool  # no space stands before it
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one speaker said without a long pause or another speaker."""

    speaker: str
    tokens: tuple[Token, ...]

    @property
    def start(self) -> float:
        return self.tokens[0].start

    @property
    def end(self) -> float:
        return max(token.end for token in self.tokens)

    @property
    def text(self) -> str:
        return joined(self.tokens)


def joined(tokens: Iterable[Token]) -> str:
    """Tokens as running text."""
    return "".join(t.text if t.glued else f" {t.text}" for t in tokens).strip()


def turns(parts: Sequence[Part]) -> list[Turn]:
    """Time every part, and join consecutive ones of one speaker. Starts never go backwards."""
    placed = _placed(parts)
    made: list[tuple[str, str, list[Token]]] = []
    last_end = 0.0
    for at, (start, part) in enumerate(placed):
        following = placed[at + 1][0] if at + 1 < len(placed) else None
        tokens = _timed(part, start, following)
        if made and made[-1][0] == part.participant and start - last_end <= _PAUSE:
            if _runs_on(made[-1][2][-1].text, tokens[0].text):
                first = tokens[0]
                tokens[0] = Token(text=first.text, glued=True, start=first.start, end=first.end)
            made[-1][2].extend(tokens)
        else:
            made.append((part.participant, part.speaker, tokens))
        last_end = max(token.end for token in tokens)
    return [Turn(speaker=speaker, tokens=tuple(tokens)) for _, speaker, tokens in made]


def _placed(parts: Sequence[Part]) -> list[tuple[float, Part]]:
    """Every part with its start, in order of start. One without is put between its neighbours."""
    following = [math.inf] * len(parts)  # the next start that is known
    for at in range(len(parts) - 2, -1, -1):
        known = parts[at + 1].start
        following[at] = following[at + 1] if known is None else known
    placed, end = [], 0.0
    for part, limit in zip(parts, following, strict=True):
        start = min(end, limit) if part.start is None else part.start
        placed.append((start, part))
        ends = [word.end for word in part.words if word.end is not None and word.end > start]
        end = max(ends, default=start + sum(_estimate(word.text) for word in part.words))
    return sorted(placed, key=lambda each: each[0])


def _timed(part: Part, start: float, following: float | None) -> list[Token]:
    """A part's tokens with times that never go backwards.

    Args:
        start: of the part.
        following: the start of the next part; None for the last one.
    """
    tokens: list[Token] = []
    now = start
    nexts = [*(word.start for word in part.words[1:]), following]
    for word, after in zip(part.words, nexts, strict=True):
        begin = now if word.start is None else max(word.start, tokens[-1].start if tokens else now)
        end = begin + _estimate(word.text)
        if word.end is not None and word.end > begin:
            end = min(word.end, begin + max(_LONGEST_WORD, _estimate(word.text)))
        elif after is not None and after > begin:
            end = min(end, after)
        glued = bool(tokens) and _runs_on(tokens[-1].text, word.text)
        tokens.extend(_split(word.text, begin, end, glued=glued))
        now = end
    return tokens


def _split(text: str, start: float, end: float, *, glued: bool) -> list[Token]:
    """A text in tokens; its time is shared out among them by their length."""
    pieces: list[tuple[str, bool]] = []
    for at, run in enumerate(text.split(" ")):
        for cut in range(0, len(run), LONGEST_TOKEN):
            pieces.append((run[cut : cut + LONGEST_TOKEN], cut > 0 or (at == 0 and glued)))
    sums = list(accumulate((len(piece) for piece, _ in pieces), initial=0))
    marks = [start + (end - start) * each / sums[-1] for each in sums]
    return [
        Token(text=piece, glued=is_glued, start=begin, end=until)
        for (piece, is_glued), (begin, until) in zip(pieces, pairwise(marks), strict=True)
    ]


def _runs_on(before: str, after: str) -> bool:
    """Whether no space belongs between two words."""
    return bool(_UNSPACED.match(before[-1]) and _UNSPACED.match(after[0]))


def _estimate(text: str) -> float:
    return max(_SHORTEST, len(text) / _LETTERS_A_SECOND)
