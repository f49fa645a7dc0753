"""Text is cut between letters, and words are joined as they are written, in any script."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtms.recordings.captions import cues
from rtms.recordings.filenames import file_name
from rtms.recordings.utterances import Part, Word, turns
from rtms.text import shown
from rtms.text_breaks import attached, cut, letters

_FAMILY = "👨\u200d👩\u200d👧\u200d👦"
_SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
# Text without spaces, longer than a line.
UNSPACED = {
    "Thai": "วันนี้เราจะคุยกันเรื่องงบประมาณของปีหน้าที่ทุกคนรอคอยกันมานานแล้วนะครับผมขอเริ่มที่หัวข้อแรกก่อนเลย",
    "Lao": "ມື້ນີ້ພວກເຮົາຈະລົມກັນກ່ຽວກັບງົບປະມານຂອງປີໜ້າທີ່ທຸກຄົນລໍຖ້າມາດົນແລ້ວຂໍເລີ່ມຫົວຂໍ້ທຳອິດກ່ອນເລີຍ",
    "Khmer": "ថ្ងៃនេះយើងនឹងពិភាក្សាអំពីថវិកាសម្រាប់ឆ្នាំក្រោយដែលមនុស្សគ្រប់គ្នាកំពុងរង់ចាំយូរមកហើយ",
    "Burmese": "ယနေ့ကျွန်ုပ်တို့သည်လာမည့်နှစ်အတွက်ဘတ်ဂျက်အကြောင်းဆွေးနွေးကြပါမည်အားလုံးစောင့်မျှော်နေကြသည်",
    "Tibetan": "དེ་རིང་ང་ཚོས་ལོ་རྗེས་མའི་སྔོན་རྩིས་སྐོར་གླེང་མོལ་བྱེད་ཀྱི་ཡིན་ཚང་མས་ཡུན་རིང་སྒུག་པ་རེད",
    "families": _FAMILY * 60,
    "flags": "🇬🇧🇫🇷🇺🇦" * 40,
    "tags": _SCOTLAND * 50,
    "skin": "👍🏽🤷🏿\u200d♀\ufe0f" * 40,
    "accents": "e\u0301\u0323" * 100,
    "jamo": "한국" * 60,
    "conjuncts": "क्षत्रिय" * 30,
}


def one(*texts: str, seconds: float = 0.5) -> list[Part]:
    """A part of which each text is a word."""
    words = tuple(
        Word(text=text, start=at * seconds, end=at * seconds + seconds - 0.1)
        for at, text in enumerate(texts)
    )
    return [Part(participant="1", speaker="Ada", words=words)]


def said(*texts: str) -> str:
    """How words are told, whether each has times, or only the first one."""
    (part,) = parts = one(*texts)
    untimed = tuple(Word(text=w.text, start=None, end=None) for w in part.words)
    told = " | ".join(turn.text for turn in turns(parts))
    again = turns([Part(participant="1", speaker="Ada", words=untimed)])
    assert [turn.text for turn in again] == [told]
    return told


@pytest.mark.parametrize("text", UNSPACED.values(), ids=UNSPACED)
def test_lines_are_cut_between_letters(text: str) -> None:
    whole = turns(one(text, seconds=20))
    lines = [line for cue in cues(whole) for line in cue.lines]

    assert "".join(lines) == text and len(lines) > 1
    assert sum(len(letters(line)) for line in lines) == len(letters(text))
    assert all(len(line) <= 42 for line in lines)
    assert not [line for line in lines if unicodedata.category(line[0]).startswith("M")]
    assert not [line for line in lines if line[0] in "\u200d\ufe0f🏽🏿" or line[-1] == "\u200d"]


@pytest.mark.parametrize("text", UNSPACED.values(), ids=UNSPACED)
@pytest.mark.parametrize("longest", [31, 42, 43, 44])
def test_titles_are_cut_between_letters(text: str, longest: int) -> None:
    title = shown(text, longest)
    assert title is not None and 0 <= longest - len(title) < max(map(len, letters(text)))
    assert [*letters(text)[: len(letters(title))]] == [*letters(title)]


@pytest.mark.parametrize("text", [UNSPACED[name] for name in ("Thai", "Burmese", "accents")])
@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_file_names_are_cut_between_letters(text: str, before: str) -> None:
    title = unicodedata.normalize("NFKC", before + text * 5)
    name = file_name(None, title, "rec-1", "video", ".mp4").split("_")[1]
    assert title.startswith(name)
    assert [*letters(title)[: len(letters(name))]] == [*letters(name)]


def test_a_letter_alone_that_is_too_long_is_cut_all_the_same() -> None:
    assert cut("e" + "\u0301" * 300, 255) == "e" + "\u0301" * 254


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("Hello", ",", "world", "."), "Hello, world."),
        (("Really", "?!", "Yes", "…", "maybe", "..."), "Really?! Yes… maybe..."),
        (("See", "(", "page", "two", ")", "."), "See (page two)."),
        (("¿", "Qué", "tal", "?", "¡", "Hola", "!"), "¿Qué tal? ¡Hola!"),
        (("He", "said", '"', "yes", '"', "."), 'He said "yes".'),
        (("Er", "sagte", "„", "ja", "“", "."), "Er sagte „ja“."),
        (("»", "Ja", "«", ",", "sagte", "er"), "»Ja«, sagte er"),
        (("これは", "「", "試験", "」", "です", "。", "はい", "！"), "これは「試験」です。はい！"),
        (("हाँ", "।", "ठीक", "है", "॥"), "हाँ। ठीक है॥"),
        (("نعم", "،", "لماذا", "؟"), "نعم، لماذا؟"),
        (("אז", ",", "כן", "׃"), "אז, כן׃"),
        (("Այո", "։"), "Այո։"),
        (("እሺ", "።"), "እሺ።"),
        (("បាទ", "។"), "បាទ។"),
        (("ဟုတ်ကဲ့", "။"), "ဟုတ်ကဲ့။"),
        (("예", ",", "그래요", "."), "예, 그래요."),
        (("I", "use", ".NET", "and", "@home", "-", "or"), "I use .NET and @home - or"),
        (("Bonjour !", "Ça va ?"), "Bonjour ! Ça va ?"),
        ((".", "so"), ". so"),
        (("สวัสดี", "ครับ"), "สวัสดีครับ"),
        (("ท", "ี่", "น", "ี่"), "ที่นี่"),
        (("👩\u200d", "💻", "ok"), "👩\u200d💻 ok"),
        (("🇬", "🇧", "ok"), "🇬🇧 ok"),
    ],
)
def test_punctuation_stands_where_it_belongs(words: tuple[str, ...], expected: str) -> None:
    assert said(*words) == expected


def test_punctuation_stays_on_the_line_of_its_word() -> None:
    words = [part for n in range(40) for part in (f"wording{n}", ",")]
    mixed = "、".join("長い文章です" * (1 + n % 9) for n in range(30)) + "「そう」。" * 40
    french = " ! ".join(f"voilà{n}" for n in range(60)) + " !"
    for parts in (one(*words), one(mixed, seconds=60), one(french, seconds=60)):
        lines = [line for cue in cues(turns(parts)) for line in cue.lines]
        assert len(lines) > 5
        assert not [line for line in lines if line[0] in ",、。」!" or line[-1] in "「"]


def test_punctuation_with_a_time_of_its_own_stays_with_its_word() -> None:
    ada = one("Yes", ",", "sure", ".", seconds=1)
    bob = [Part(participant="2", speaker="Bob", words=(Word(text="No", start=0.95, end=1.2),))]
    told = [(turn.speaker, turn.text) for turn in turns([*ada, *bob])]
    assert told == [("Ada", "Yes,"), ("Bob", "No"), ("Ada", "sure.")]


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_any_words_are_attached_or_not(words: list[str]) -> None:
    found = attached(words)
    assert len(found) == len(words) and not any(found[:1])


@given(st.text(max_size=60))
def test_letters_are_the_text(text: str) -> None:
    assert "".join(letters(text)) == text


@pytest.mark.parametrize("text", ["🇬", "👩\u200d", "क्", "e\u0301", "\u0600", "!", "「"])
def test_an_endless_word_is_cut_in_bearable_time(text: str) -> None:
    assert cues(turns(one(text * 100_000, seconds=60)))


def test_regex_is_loaded_only_where_a_text_is_cut() -> None:
    code = (
        "import sys, rtms.recordings.transcripts, rtms.recordings.filenames, rtms.text\n"
        "rtms.text.shown('Réunion'), rtms.text.search_text('Réunion')\n"
        "print('regex' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
