"""Text from outside that people are to see or to search for: titles, names, transcripts. Pure.

Identifiers that we act on are not for this module: they are taken as they are, or refused.
"""

from __future__ import annotations

import re
import unicodedata

from rtms.text_breaks import cut

# Blank, though Unicode says letter or symbol: the Hangul fillers and the empty braille cell.
_BLANK = dict.fromkeys((0x3164, 0xFFA0, 0x2800), " ")

# What no font shows (Unicode: Default_Ignorable_Code_Point), and the marks of annotations.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# Of those, what changes how its neighbours look, and therefore stays in text that is shown: the
# joiners of Persian, Indic scripts and emoji, the marks that keep punctuation on its side of a word
# in Hebrew and Arabic, variants of a character, and the letters of a flag.
_SHAPING = re.compile(
    "[\u034f\u061c\u115f\u1160\u180b-\u180f\u200c-\u200f\ufe00-\ufe0f"
    "\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)

_GROUPING = re.compile("[ \\-\u2010-\u2015\u2212]")  # what stands between a number's digits


def shown(text: str, longest: int = 255) -> str | None:
    """Return a text in one line, fit for a screen, a log, a file name and a database.

    White space of any kind becomes a space, as do control characters. Halves of surrogate pairs and
    code points that are no characters become U+FFFD. What turns text around (U+202A to U+202E,
    U+2066 to U+2069) and other invisible characters go, but for those that shape their neighbours.
    A character that this Python does not know yet is kept: whoever reads may have a font for it.

    Args:
        text: any text.
        longest: how many code points are kept. None of the characters that people see is halved.

    Returns:
        None where nothing of it can be seen.
    """
    kept = _INVISIBLE.sub(lambda found: found[0] if _SHAPING.match(found[0]) else "", text)
    line = cut(_in_one_line(kept), longest).rstrip()
    return line if without_invisible(line).strip() else None


def search_text(text: str) -> str:
    """Return a text as it is searched for: texts that look the same become the same.

    Invisible characters go, compatibility forms (NFKC) and upper and lower case become one, and
    white space collapses to single spaces. Applying it again changes nothing.
    """
    visible = _in_one_line(without_invisible(text))
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def typed(text: str) -> str:
    """Return what a person typed or pasted, in one line: without what cannot be seen, as comes with
    what is copied from a chat or a web page. Upper and lower case stay: ids differ in them."""
    return _in_one_line(without_invisible(text))


def typed_number(text: str) -> str | None:
    """Return the digits of a number as people write it, such as `855 5123 4567` or
    `855-5123-4567`; None where a text is no number."""
    digits = _GROUPING.sub("", unicodedata.normalize("NFKC", typed(text)))
    return digits if digits.isascii() and digits.isdigit() else None


def without_invisible(text: str) -> str:
    """Return a text without the characters that no font shows, joiners and the like included."""
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
    """Whether Unicode keeps a code point free for ever (Unicode: noncharacters)."""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
