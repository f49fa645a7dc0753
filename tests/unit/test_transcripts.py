"""Transcripts become files that people and parsers can read."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from rtms.recordings.captions import cues
from rtms.recordings.transcripts import FORMATS, NotATranscript, read_parts, render
from rtms.recordings.utterances import turns

PUBLISHED = Path(__file__).parents[1] / "fixtures" / "recall" / "transcript.json"


def word(text: object, start: object = None, end: object = None) -> dict[str, Any]:
    return {
        "text": text,
        "start_timestamp": None if start is None else {"relative": start, "absolute": None},
        "end_timestamp": None if end is None else {"relative": end, "absolute": None},
    }


def part(who: object, *words: dict[str, Any], name: object = None) -> dict[str, Any]:
    return {"participant": {"id": who, "name": name, "is_host": False}, "words": list(words)}


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = json.loads(render(read_parts(list(parts)), "json"))
    return value


def check_vtt(text: str) -> Any:
    """The captions, after the parser accepted the whole file and its times go forward."""
    captions = webvtt.from_string(text).captions
    assert len(captions) == text.count(" --> ")
    for caption in captions:
        assert caption.end_in_seconds >= caption.start_in_seconds
        assert caption.start < caption.end
        assert caption.text.strip()
    assert all(one.end <= other.start for one, other in pairwise(captions))
    return captions


def check_srt(text: str) -> list[Any]:
    captions = list(srt.parse(text))
    assert len(captions) == text.count(" --> ")
    assert [caption.index for caption in captions] == list(range(1, len(captions) + 1))
    assert all(caption.start < caption.end and caption.content for caption in captions)
    assert all(one.end <= other.start for one, other in pairwise(captions))
    return captions


def test_the_file_as_recall_makes_it() -> None:
    parts = read_parts(json.loads(PUBLISHED.read_text()))
    assert render(parts, "txt") == (
        "[00:00] Ada Lovelace: Good morning, everyone. Shall we begin?\n"
        "[00:01] Speaker 1: Yes, we can hear you. 👋\n"
    )
    assert render(parts, "vtt") == (
        "WEBVTT\n\n"
        "00:00:00.400 --> 00:00:01.300\n"
        "<v Ada Lovelace>Good morning, everyone. Shall we begin?\n\n"
        "00:00:01.600 --> 00:00:03.133\n"
        "<v Speaker 1>Yes, we can hear you. 👋\n"
    )
    assert render(parts, "srt") == (
        "1\n00:00:00,400 --> 00:00:01,300\n"
        "Ada Lovelace: Good morning, everyone. Shall we begin?\n\n"
        "2\n00:00:01,600 --> 00:00:03,133\nSpeaker 1: Yes, we can hear you. 👋\n"
    )
    check_vtt(render(parts, "vtt"))
    check_srt(render(parts, "srt"))
    assert json.loads(render(parts, "json"))[0] == {
        "speaker": "Ada Lovelace",
        "start": 0.4,
        "end": 1.3,
        "text": "Good morning, everyone. Shall we begin?",
    }


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"detail": "Not found."}, "not an object"),
        ("text", "not a text"),
        (None, "not null"),
        (7, "not something else"),
        ([1, 2], "nothing in it has a list of `words`"),
        ([{"participant": {}}], "nothing in it has a list of `words`"),
        ([{"words": "text"}], "nothing in it has a list of `words`"),
    ],
)
def test_what_is_no_transcript(data: object, complaint: str) -> None:
    with pytest.raises(NotATranscript, match=complaint):
        read_parts(data)


def test_nothing_said_is_a_valid_file() -> None:
    for data in ([], [part(1)], [part(1, word(""), word(None), word(" \n"))]):
        parts = read_parts(data)
        assert (render(parts, "txt"), render(parts, "srt")) == ("", "")
        assert json.loads(render(parts, "json")) == []
        assert check_vtt(render(parts, "vtt")) == []


def test_consecutive_parts_of_one_speaker_are_joined_and_a_pause_parts_them() -> None:
    turns = said(
        part(1, word("One", 0, 1), name="Ada"),
        part(1, word("two.", 1, 2), name="Ada"),
        part(2, word("Three.", 2, 3), name="Bob"),
        part(1, word("Four.", 3, 4), name="Ada"),
        part(1, word("Five.", 60, 61), name="Ada"),
    )
    assert [(t["speaker"], t["start"], t["text"]) for t in turns] == [
        ("Ada", 0, "One two."),
        ("Bob", 2, "Three."),
        ("Ada", 3, "Four."),
        ("Ada", 60, "Five."),
    ]


def test_namesakes_are_not_joined_and_a_name_given_once_is_known() -> None:
    turns = said(
        part(1, word("a", 0), name=None),
        part(2, word("b", 1), name="Kim"),
        part(3, word("c", 2), name="Kim"),
        part(1, word("d", 3), name="Ada"),
    )
    assert [t["speaker"] for t in turns] == ["Ada", "Kim", "Kim", "Ada"]


def test_unknown_speakers_are_numbered_as_they_appear() -> None:
    turns = said(
        part(30, word("a", 0)),
        part(10, word("b", 1), name=" \0 "),
        part(20, word("c", 2), name="Speaker 2"),
        part(30, word("d", 3)),
        part("30x", word("e", 4), name=7),
        {"participant": None, "words": [word("f", 5)]},
        {"words": [word("g", 6)]},
    )
    expected = [
        ("Speaker 1", "a"),
        ("Speaker 3", "b"),
        ("Speaker 2", "c"),
        ("Speaker 1", "d"),
        ("Speaker 4", "e"),
        ("Speaker 5", "f g"),
    ]
    assert [(t["speaker"], t["text"]) for t in turns] == expected


def test_captions_without_ends_last_as_long_as_they_take_to_say() -> None:
    turns = said(
        part(1, word("Hello there.", 1.0)),
        part(2, word("A much longer sentence, which takes its time to be said.", 1.5)),
        part(1, word("Bye.", 100.0)),
    )
    assert [(t["start"], t["end"]) for t in turns] == [(1.0, 1.5), (1.5, 5.233), (100.0, 101.0)]


def test_parts_without_any_time_stand_between_their_neighbours() -> None:
    turns = said(
        part(1, word("First.")),
        part(2, word("Second.", 10, 11)),
        part(1, word("Third, which has no time.")),
        part(2, word("Fourth.", 11.5, 12)),
    )
    assert [t["text"].split()[0].rstrip(",.") for t in turns] == [
        "First",
        "Second",
        "Third",
        "Fourth",
    ]
    assert turns[2]["start"] == 11 and turns[2]["end"] == 11.5


def test_who_talks_into_a_monologue_is_shown_when_it_was_said() -> None:
    monologue = [word(f"word{n}", n, n + 1) for n in range(60)]
    parts = read_parts(
        [part(1, *monologue, name="Ada"), part(2, word("Yes!", 20.2, 20.8), name="Bob")]
    )
    captions = check_vtt(render(parts, "vtt"))
    (yes,) = [caption for caption in captions if "Yes!" in caption.text]
    assert yes.start == "00:00:20.200"
    shown = " ".join(caption.text.replace("\n", " ") for caption in captions).split()
    assert sorted(shown) == sorted(["Yes!", *(w["text"] for w in monologue)])


def test_cues_are_short_enough_to_read() -> None:
    words = [word(f"word{n}", n * 0.4, n * 0.4 + 0.3) for n in range(300)]
    long = word("Nobody took a breath in this very long caption of Zoom's. " * 20, 200)
    made = cues(turns(read_parts([part(1, *words), part(2, long)])))
    assert len(made) > 20
    for cue in made:
        assert len(cue.lines) <= 2 and all(len(line) <= 42 for line in cue.lines)
        assert cue.end - cue.start <= 7000


def test_scripts_without_spaces() -> None:
    (turn,) = said(part(1, word("これは", 0, 1), word("試験", 1, 2), word("です。", 2, 3)))
    assert turn["text"] == "これは試験です。"
    parts = read_parts([part(1, word("長い文章です" * 40, 0, 60))])
    captions = check_vtt(render(parts, "vtt"))
    assert "".join(c.text.replace("\n", "") for c in captions) == "長い文章です" * 40


@pytest.mark.parametrize(
    ("text", "vtt", "plain"),
    [
        ("a --> b", "a --&gt; b", "a --> b"),
        ("a --", "a --", "a --"),
        ("<b>&amp; </v>", "&lt;b&gt;&amp;amp; &lt;/v&gt;", "<b>&amp; </v>"),
        ("one\n\ntwo\r\nthree", "one two three", "one two three"),
        ("2\n00:00:01,000 --> 00:00:02,000\nx", None, "2 00:00:01,000 --> 00:00:02,000 x"),
        ("NOTE WEBVTT STYLE", "NOTE WEBVTT STYLE", "NOTE WEBVTT STYLE"),
        ("a\0b\x1bc\u2028d", "a b c d", "a b c d"),
        ("\u202eevil\u202c \u2067x\u2069", "evil x", "evil x"),
        ("\u200fשלום", "\u200fשלום", "\u200fשלום"),
        ("\ud83d broken", "\ufffd broken", "\ufffd broken"),
    ],
)
def test_text_that_could_break_a_file(text: str, vtt: str | None, plain: str) -> None:
    parts = read_parts([part(1, word(text, 1), name=text), part(2, word("end", 9))])
    assert json.loads(render(parts, "json"))[0]["text"] == plain
    assert len(check_vtt(render(parts, "vtt"))) == 2
    assert len(check_srt(render(parts, "srt"))) == 2
    assert len(render(parts, "txt").splitlines()) == 2
    if vtt is not None:
        assert f">{vtt}\n" in render(parts, "vtt")
    for each in FORMATS:
        render(parts, each).encode()  # type: ignore[arg-type]


def test_an_hour_has_a_third_number() -> None:
    parts = read_parts([part(1, word("late", 3723, 3724))])
    assert render(parts, "txt").startswith("[1:02:03] ")
    assert "01:02:03.000 --> 01:02:04.000" in render(parts, "vtt")


_times = st.one_of(
    st.none(),
    st.floats(0, 100),
    st.integers(-5, 400),
    st.floats(),
    st.sampled_from([True, "1", 10**400, {}]),
)
_texts = st.one_of(
    st.text(max_size=120),
    st.text("a1:,0 \n-><&/v\u200f界", max_size=120),
    st.sampled_from([None, 7, "2\n00:00:01,000 --> 00:00:02,000\nx", "-->", "WEBVTT", "\n\n"]),
)
_words = st.builds(word, _texts, _times, _times)
_parts = st.lists(
    st.builds(
        lambda who, name, words: part(who, *words, name=name),
        st.sampled_from([1, 2, 2.5, "3", "", None, True]),
        st.none() | _texts,
        st.lists(_words, max_size=4),
    ),
    max_size=8,
)


@given(_parts)
def test_any_transcript_is_rendered_to_valid_files(data: list[dict[str, Any]]) -> None:
    parts = read_parts(data)
    check_vtt(render(parts, "vtt"))
    check_srt(render(parts, "srt"))
    listed = json.loads(render(parts, "json"))
    assert all(0 <= t["start"] <= t["end"] and t["speaker"] and t["text"] for t in listed)
    assert all(one["start"] <= other["start"] for one, other in pairwise(listed))
    assert len(render(parts, "txt").splitlines()) == len(listed)
    shown = "".join(line for cue in cues(turns(parts)) for line in cue.lines)
    told = "".join(t["text"] for t in listed)
    assert sorted(shown.replace(" ", "")) == sorted(told.replace(" ", ""))


_anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["participant", "id", "name", "words", "text", "start_timestamp"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(_anything)
def test_anything_is_read_or_refused_in_plain_words(data: object) -> None:
    try:
        parts = read_parts(data)
    except NotATranscript as error:
        assert str(error).startswith("This is not a transcript")
    else:
        check_srt(render(parts, "srt"))


def test_the_parser_reads_from_a_file_as_well() -> None:
    parts = read_parts(json.loads(PUBLISHED.read_text()))
    captions = webvtt.from_buffer(io.StringIO(render(parts, "vtt"))).captions
    assert [caption.voice for caption in captions] == ["Ada Lovelace", "Speaker 1"]


@pytest.mark.slow
def test_one_endless_word_takes_no_endless_time() -> None:
    parts = read_parts([part(1, word("ab " * 50_000 + "x" * 500_000, 0, 60))])
    assert len(check_srt(render(parts, "srt"))) > 1000
