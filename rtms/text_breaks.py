"""Finds where text may be cut, and which words join without a space, in any script. Pure.

`regex` supports Unicode properties, which `re` does not. It is imported when first needed, because
most processes and commands never cut a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

# A character as people see it: an extended grapheme cluster (Unicode: UAX #29), with two changes.
# Vowel signs that UAX #29 separates from their letter, as in Burmese, stay with it. Flags are
# matched as pairs, because \X alone looks back to the start of a long row of them each time.
_LETTER = r"\p{RI}\p{RI}[\p{M}\u200d]*+|\X\p{M}*+"

# One or more punctuation marks that belong to the word before them, as in `?!` and `."`.
_ENDS = r"\p{Terminal_Punctuation}\p{Pe}\p{Pf}…‥"
_CLOSING = rf"[{_ENDS}][{_ENDS}\"']*"
_OPENING = r"[\p{Ps}\p{Pi}¿¡]"
_QUOTES = frozenset('"“”„‟«»')  # which one opens depends on the language

# Scripts written without spaces between words, and their punctuation.
_UNSPACED = (
    r"[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}\p{Thai}\p{Lao}\p{Khmer}"
    r"\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}\p{Tai_Tham}\p{Tai_Le}\p{New_Tai_Lue}"
    r"\u3000-\u303f\uff00-\uffef]"
)
_LONGEST_LETTER = 20  # code points at the end of a text that are examined; family emoji have 11


def letters(text: str) -> Sequence[str]:
    """Return the grapheme clusters of a text, which may be cut between any two of them."""
    return text if text.isascii() else _compiled(_LETTER).findall(text)


def cut(text: str, longest: int) -> str:
    """Return the beginning of a text.

    Args:
        longest: maximum number of code points. No grapheme cluster is split, unless it is the only
            one.
    """
    if len(text) <= longest:
        return text
    return "".join(letters(text[: longest + 1])[:-1]) or text[:longest]


def is_closing(text: str) -> bool:
    """Return whether a text is only punctuation that belongs to the word before it."""
    return _compiled(_CLOSING).fullmatch(text) is not None


def is_opening(text: str) -> bool:
    """Return whether a text ends in punctuation that belongs to the word after it."""
    return _compiled(_OPENING).match(text[-1]) is not None


def attached(words: Sequence[str]) -> list[bool]:
    """Return for each word whether it must stay with the one before it: one is punctuation that
    belongs to the other, or a character begins in one and ends in the other.

    Args:
        words: of one speaker, in order; none is empty.
    """
    found = [False] * len(words)
    is_quoted = False
    for at in range(1, len(words)):
        before, word = words[at - 1], words[at]
        is_quoted ^= sum(map(before.count, _QUOTES)) % 2 == 1
        opens = is_quoted if before in _QUOTES else is_opening(before)
        closes = is_quoted if word in _QUOTES else is_closing(word)
        found[at] = opens or closes or _continues(before, word)
    return found


def runs_on(before: str, after: str) -> bool:
    """Return whether two words are of a script without spaces, and join without one."""
    unspaced = _compiled(_UNSPACED)
    return bool(unspaced.match(before[-1]) and unspaced.match(after[0]))


def _continues(before: str, after: str) -> bool:
    """Return whether a character begins in one word and ends in the next, as a vowel sign does."""
    if after.isascii():
        return False
    end = before[-_LONGEST_LETTER:]
    return len(letters(end + after[0])) == len(letters(end))


@cache
def _compiled(pattern: str) -> Any:
    import regex

    return regex.compile(pattern)
