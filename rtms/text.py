"""Cleans text from outside for display and search: titles, names, transcripts. Pure.

Identifiers that decide something do not pass here: they are accepted as they are, or rejected.
"""

from __future__ import annotations

import re
import unicodedata

from rtms.text_breaks import cut

# Blank, although Unicode calls them letters or symbols: Hangul fillers, the empty braille cell.
_BLANK = dict.fromkeys((0x3164, 0xFFA0, 0x2800), " ")

# Invisible in every font (Unicode: Default_Ignorable_Code_Point), and annotation marks.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# Those that change how their neighbours look, and stay in text for display: the joiners of Persian,
# Indic scripts and emoji, the direction marks of Hebrew and Arabic, the variation selectors, and
# the letters of a flag.
_SHAPING = re.compile(
    "[\u034f\u061c\u115f\u1160\u180b-\u180f\u200c-\u200f\ufe00-\ufe0f"
    "\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)

_GROUPING = re.compile("[ \\-\u2010-\u2015\u2212]")  # separators between the digits of a number


def shown(text: str, longest: int = 255) -> str | None:
    """Return a text in one line, fit for a screen, a log, a file name and a database.

    White space and control characters become spaces. Lone surrogates and noncharacters become
    U+FFFD. Marks that change the direction of text (U+202A to U+202E, U+2066 to U+2069) and other
    invisible characters are removed, except those that shape their neighbours. Characters that this
    Python does not know yet are kept, because the reader may have a font for them.

    Args:
        text: any text.
        longest: the number of code points that are kept. No grapheme cluster is split.

    Returns:
        None if nothing of it is visible.
    """
    kept = _INVISIBLE.sub(lambda found: found[0] if _SHAPING.match(found[0]) else "", text)
    line = cut(_in_one_line(kept), longest).rstrip()
    return line if without_invisible(line).strip() else None


def search_text(text: str) -> str:
    """Return the form of a text that is searched: texts that look the same have the same form.

    Invisible characters are removed, compatibility forms (NFKC) and case are folded, and white
    space collapses to single spaces. Applying it again changes nothing.
    """
    visible = _in_one_line(without_invisible(text))
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def typed(text: str) -> str:
    """Return what a person typed or pasted, in one line and without the invisible characters that
    are copied from chats and web pages. Case stays, because ids are case-sensitive."""
    return _in_one_line(without_invisible(text))


def typed_number(text: str) -> str | None:
    """Return the digits of a number such as `855 5123 4567` or `855-5123-4567`, or None if the text
    is not a number."""
    digits = _GROUPING.sub("", unicodedata.normalize("NFKC", typed(text)))
    return digits if digits.isascii() and digits.isdigit() else None


def without_invisible(text: str) -> str:
    """Return a text without invisible characters, including joiners."""
    return _INVISIBLE.sub("", text)


def _in_one_line(text: str) -> str:
    plain = "".join(_visible(c) for c in text.translate(_BLANK))
    return " ".join(plain.split())


def _visible(character: str) -> str:
    match unicodedata.category(character):
        case "Cc":
            return " "
        case "Cs":
            return "\ufffd"
        case "Cn" if _is_no_character(ord(character)):
            return "\ufffd"
    return character


def _is_no_character(code: int) -> bool:
    """Return whether a code point is never assigned (Unicode: noncharacters)."""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
