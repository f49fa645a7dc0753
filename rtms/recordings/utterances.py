"""Turn the parts of a transcript into speakers' turns, in the order of the conversation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from rtms.text_breaks import attached, is_closing, is_opening, letters, runs_on

_PAUSE = 3.0  # seconds of silence after which the same speaker begins a new turn
_BREATH = 0.5  # seconds of silence within continuous speech
_LETTERS_A_SECOND = 15.0  # of speech, to estimate an unknown length
_SHORTEST = 1.0  # seconds of speech, likewise
_LONGEST_WORD = 7.0  # seconds that a word may take by its own times, unless its text is long
LONGEST_TOKEN = 42  # code points: a line of a caption


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word, or a whole sentence if the transcript is from captions. Times are seconds since the
    recording's start."""

    text: str  # one line, not empty
    start: float | None
    end: float | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the transcript by one participant: anything from a sentence to a whole meeting."""

    participant: str  # the same for the same person
    speaker: str  # the person's name, or `Speaker 1`
    words: tuple[Word, ...]  # at least one

    @property
    def start(self) -> float | None:
        """When the part begins; None where no word has a time."""
        return next((word.start for word in self.words if word.start is not None), None)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of text that is never broken, with its times."""

    text: str
    glued: bool  # no space precedes it
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One speaker's words without a long pause or an interruption."""

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


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """Consecutive words of one part of which only the first has a time of its own."""

    part: int  # the part's index
    text: str
    start: float
    end: float | None  # None: unknown


def joined(tokens: Iterable[Token]) -> str:
    """Return tokens as running text."""
    return "".join(t.text if t.glued else f" {t.text}" for t in tokens).strip()


def turns(parts: Sequence[Part]) -> list[Turn]:
    """Return the turns of a conversation in the order of their starts.

    A turn ends where another participant begins to speak, even within a part, and after a long
    pause.
    """
    made: list[tuple[Part, list[Token]]] = []
    last_end = 0.0
    for run in _runs(_ended(_stretches(parts))):
        part = parts[run[0].part]
        is_same = bool(made) and made[-1][0].participant == part.participant
        if not is_same or run[0].start - last_end > _PAUSE:
            made.append((part, []))
        tokens = made[-1][1]
        so_far = len(tokens)
        for stretch in run:
            glued = bool(tokens) and runs_on(tokens[-1].text, stretch.text)
            tokens.extend(_split(stretch, glued=glued))
        last_end = max(token.end for token in tokens[so_far:])
    return [Turn(speaker=part.speaker, tokens=tuple(tokens)) for part, tokens in made]


def _stretches(parts: Sequence[Part]) -> list[_Stretch]:
    """Return the stretches of all parts by start. Equal starts keep the order of the parts."""
    found = [
        stretch
        for number, (start, part) in enumerate(zip(_starts(parts), parts, strict=True))
        for stretch in _cut(number, part, start)
    ]
    return sorted(found, key=lambda stretch: stretch.start)


def _starts(parts: Sequence[Part]) -> list[float]:
    """Return when each part began. A part without a time is put between its neighbours."""
    following = [math.inf] * len(parts)  # the next known start
    for at in range(len(parts) - 2, -1, -1):
        known = parts[at + 1].start
        following[at] = following[at + 1] if known is None else known
    starts, end = [], 0.0
    for part, limit in zip(parts, following, strict=True):
        start = min(end, limit) if part.start is None else part.start
        starts.append(start)
        ends = [word.end for word in part.words if word.end is not None and word.end > start]
        end = max(ends, default=start + sum(_estimate(word.text) for word in part.words))
    return starts


def _cut(number: int, part: Part, start: float) -> Iterator[_Stretch]:
    """Split a part into stretches. A word without a time, or with an earlier one, keeps its
    place."""
    stretch = None
    for word, is_attached in zip(part.words, attached([w.text for w in part.words]), strict=True):
        if stretch is None:
            stretch = _Stretch(part=number, text=word.text, start=start, end=word.end)
        elif is_attached:
            end = stretch.end if word.end is None else word.end
            stretch = replace(stretch, text=stretch.text + word.text, end=end)
        elif word.start is not None and word.start > stretch.start:
            yield stretch
            stretch = _Stretch(part=number, text=word.text, start=word.start, end=word.end)
        else:
            space = "" if runs_on(stretch.text, word.text) else " "
            stretch = replace(stretch, text=stretch.text + space + word.text, end=word.end)
    if stretch:
        yield stretch


def _ended(stretches: Sequence[_Stretch]) -> Iterator[_Stretch]:
    """Yield the stretches with their ends. An estimated end is not after the next start."""
    starts = [stretch.start for stretch in stretches]
    for stretch in stretches:
        length = _estimate(stretch.text)
        if stretch.end is not None and stretch.end > stretch.start:
            end = min(stretch.end, stretch.start + max(_LONGEST_WORD, length))
        else:
            after = bisect_right(starts, stretch.start)
            end = min(stretch.start + length, starts[after] if after < len(starts) else math.inf)
        yield replace(stretch, end=end)


def _runs(stretches: Iterable[_Stretch]) -> list[list[_Stretch]]:
    """Group stretches into runs of one part, without another participant beginning in between.

    A participant who is still speaking continues after the new run and does not interrupt it, so
    people who talk at the same time are shown in whole sentences.
    """
    runs: list[list[_Stretch]] = []
    latest: dict[int, int] = {}  # a part's last run
    begun = 0  # the last run that began rather than continued speech
    before = None
    for stretch in stretches:
        at = latest.get(stretch.part)
        is_continued = at is not None and _continues(runs[at][-1], before, stretch)
        if at is not None and is_continued and at >= begun:
            runs[at].append(stretch)
        else:
            if not is_continued:
                begun = len(runs)
            latest[stretch.part] = len(runs)
            runs.append([stretch])
        before = stretch
    return runs


def _continues(last: _Stretch, before: _Stretch | None, stretch: _Stretch) -> bool:
    """Return whether a stretch continues its part's last one without a pause.

    Args:
        before: the previous stretch of any part.
    """
    assert last.end is not None and before is not None and before.end is not None
    was_answered = before.start >= last.end and before.end <= stretch.start
    return stretch.start - last.end <= _BREATH and not was_answered


def _split(stretch: _Stretch, *, glued: bool) -> Iterator[Token]:
    """Split a stretch into tokens, with its time divided in proportion to their lengths."""
    assert stretch.end is not None
    pieces: list[tuple[str, bool]] = []  # the text, and whether no space precedes it
    for at, run in enumerate(stretch.text.split(" ")):
        if at and is_closing(run):  # the space belongs to the text: `Bonjour !`
            before, is_glued = pieces[-1]
            pieces[-1] = (f"{before} {run}", is_glued)
            continue
        for number, piece in enumerate(_in_lines(run)):
            pieces.append((piece, number > 0 or (at == 0 and glued)))
    sums = list(accumulate((len(piece) for piece, _ in pieces), initial=0))
    marks = [stretch.start + (stretch.end - stretch.start) * each / sums[-1] for each in sums]
    for (piece, is_glued), (begin, until) in zip(pieces, pairwise(marks), strict=True):
        yield Token(text=piece, glued=is_glued, start=begin, end=until)


def _in_lines(run: str) -> Iterator[str]:
    """Yield a text in pieces that fit a line. Punctuation stays with its word."""
    if len(run) <= LONGEST_TOKEN:
        yield run
        return
    line: list[str] = []
    for letter in letters(run):
        if line and sum(map(len, line)) + len(letter) > LONGEST_TOKEN:
            kept = _unparted(line, letter)
            yield "".join(line[: len(line) - kept])
            line = line[len(line) - kept :]
        line.append(letter)
    yield "".join(line)


def _unparted(line: Sequence[str], following: str) -> int:
    """Return how many letters at a line's end belong to the next line, at most half of them."""
    for kept in range(len(line) // 2):
        if not is_closing(following) and not is_opening(line[-1 - kept]):
            return kept
        following = line[-1 - kept]
    return 0


def _estimate(text: str) -> float:
    """Return about how many seconds it takes to say a text."""
    return max(_SHORTEST, len(text) / _LETTERS_A_SECOND)
