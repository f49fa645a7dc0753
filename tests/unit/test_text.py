"""Text from outside: what of it is shown, and what it is searched by."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtms.text import search_text, shown, typed, typed_number

_HARMFUL = "\0\x07\x1b\x7f\x85\u2028\u2029\u202a\u202e\u2066\u2069\n\r\t"
# What may stand anywhere in text from outside: any code point, and what troubles most.
_TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from(
            f"{_HARMFUL}\u200b\u200d\u200f\u3000\u00a0\u3164\ufe0f\ud83d\uffff ẞİ\ufb01"
        ),
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Weekly sync", "Weekly sync"),
        ("週次定例\u3000営業部", "週次定例 営業部"),
        ("Réunion\u00a0: budget\u202f!", "Réunion : budget !"),
        ("جلسه\u200cی هفتگی", "جلسه\u200cی هفتگی"),
        ("👩\u200d💻 Dev daily", "👩\u200d💻 Dev daily"),
        ("\u200fפגישה שבועית", "\u200fפגישה שבועית"),
        ("\U0001fae8 Friday", "\U0001fae8 Friday"),
        ("\U0001fbfa\U0001face of a later Unicode", "\U0001fbfa\U0001face of a later Unicode"),
        ("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", None),
        ("葛\U000e0100飾区", "葛\U000e0100飾区"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("two\nlines\r\n\u2028and\x85more", "two lines and more"),
        ("a\0b\x1b[31mred", "a b [31mred"),
        ("\u202egpj.exe\u202c \u2066x\u2069", "gpj.exe x"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("half a pair: \ud83d", "half a pair: \ufffd"),
        ("no character: \uffff\ufdd0", "no character: \ufffd\ufffd"),
        ("filled\u3164with\u2800blanks", "filled with blanks"),
    ],
)
def test_text_is_shown_in_one_line_without_what_cannot_be_seen(
    text: str, expected: str | None
) -> None:
    assert shown(text) == (text if expected is None else expected)


@pytest.mark.parametrize(
    "text", ["", "  ", "\u200b", "\u200d\u200f", "\u3164", "\u2800\u2800", "\0\n", "\u202e\ufeff"]
)
def test_text_of_which_nothing_can_be_seen_is_none(text: str) -> None:
    assert shown(text) is None


def test_long_text_is_cut_without_a_space_at_its_end() -> None:
    assert shown("abc defg", longest=4) == "abc"
    assert len(shown("x" * 300) or "") == 255


@given(_TEXTS)
def test_shown_text_harms_neither_terminal_nor_database(text: str) -> None:
    line = shown(text)

    if line is not None:
        assert line.encode() and line == line.strip() and len(line) <= 255
        assert not set(line) & set(_HARMFUL)
        assert not {unicodedata.category(c) for c in line} & {"Cc", "Cs", "Zl", "Zp"}
        assert shown(line) == line


@pytest.mark.parametrize(
    "texts",
    [
        ("Weekly Sync", "weekly\u00a0 sync", "\u200eWEEKLY SYNC\u200f", "weekly\nsync"),
        ("週次定例 ABC", "週次定例\u3000ＡＢＣ"),
        ("STRASSE", "straße", "straẞe", "stra\u00adße"),
        ("Réunion", "Re\u0301union", "RÉUNION"),
        ("جلسه\u200cی", "جلسهی"),
        ("85551234567", "\u202a８５５\u200b51234567\u202c"),
        ("❤", "❤\ufe0f"),
        ("ﬁnance", "FINANCE"),
    ],
)
def test_texts_that_look_the_same_are_searched_for_by_the_same(texts: tuple[str, ...]) -> None:
    assert len({search_text(text) for text in texts}) == 1


def test_text_that_cannot_be_seen_is_searched_for_by_nothing() -> None:
    assert search_text("\u200e \ufeff\u3164") == ""


@pytest.mark.parametrize(
    ("text", "as_typed", "number"),
    [
        ("85551234567", "85551234567", "85551234567"),
        ("\u200e855\u00a05123\u202f4567\u202c", "855 5123 4567", "85551234567"),
        ("855-5123-4567", "855-5123-4567", "85551234567"),
        ("855\u20115123\u20144567\n", "855\u20115123\u20144567", "85551234567"),
        ("８５５\u3000５１２３－４５６７", "８５５ ５１２３－４５６７", "85551234567"),
        ("\ufeffab+C/d==\u200b", "ab+C/d==", None),
        ("\u2067-\u2069", "-", None),
        ("\u200f", "", None),
        ("٣", "٣", None),
    ],
)
def test_what_is_pasted_loses_what_cannot_be_seen(
    text: str, as_typed: str, number: str | None
) -> None:
    assert (typed(text), typed_number(text)) == (as_typed, number)


@given(_TEXTS)
def test_search_text_stays_what_it_is_and_fits_a_database(text: str) -> None:
    folded = search_text(text)

    assert search_text(folded) == folded
    assert folded.encode() is not None and not set(folded) & set(_HARMFUL)
