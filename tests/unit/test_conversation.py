"""A transcript tells a conversation in its order, and says at each change who speaks."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from rtms.recordings.captions import cues
from rtms.recordings.transcripts import read_parts, render
from rtms.recordings.utterances import turns

Said = tuple[str, float | None, float | None]


def entry(id: object, name: str | None, *words: Said) -> dict[str, Any]:
    """What Recall has of a participant: one entry may be the whole meeting."""

    def stamp(at: float | None) -> dict[str, float] | None:
        return None if at is None else {"relative": at}

    return {
        "participant": {"id": id, "name": name},
        "words": [
            {"text": text, "start_timestamp": stamp(start), "end_timestamp": stamp(end)}
            for text, start, end in words
        ],
    }


def every(seconds: float, text: str, begin: float = 0.0, lasts: float | None = None) -> list[Said]:
    """Words that begin so many seconds apart."""
    starts = [begin + seconds * at for at in range(len(text.split()))]
    ends = [None if lasts is None else start + lasts for start in starts]
    return list(zip(text.split(), starts, ends, strict=True))


def told(*entries: dict[str, Any]) -> list[str]:
    """The lines of the text, without their times; every format must tell the same story."""
    parts = read_parts(list(entries))
    lines = [line.partition("] ")[2] for line in render(parts, "txt").splitlines()]
    listed = json.loads(render(parts, "json"))
    assert [f"{turn['speaker']}: {turn['text']}" for turn in listed] == lines
    assert _by_captions(parts) == _by_subtitles(parts)
    assert sorted(" ".join(lines).split()) == sorted(_words_and_names(parts))
    return lines


def _by_captions(parts: Any) -> list[tuple[str, str]]:
    return [
        (str(caption.voice), caption.text.replace("\n", " "))
        for caption in webvtt.from_string(render(parts, "vtt")).captions
    ]


def _by_subtitles(parts: Any) -> list[tuple[str, str]]:
    """Who says what, as somebody reads it who knows only the names in the text."""
    found: list[tuple[str, str]] = []
    for caption in srt.parse(render(parts, "srt")):
        named = re.match(r"(Ada|Bob|Cleo|Speaker \d): ", caption.content)
        name = named[1] if named else found[-1][0]
        text = caption.content[named.end() :] if named else caption.content
        found.append((name, text.replace("\n", " ")))
    return found


def _words_and_names(parts: Any) -> list[str]:
    said = turns(parts)
    return [word for turn in said for word in f"{turn.speaker}: {turn.text}".split()]


def test_one_entry_a_participant_becomes_a_conversation() -> None:
    assert told(
        entry(1, "Ada", ("Shall we start?", 1, 2), ("Then I begin.", 60, 61), ("Bye.", 120, 121)),
        entry(2, "Bob", ("Yes, please.", 4, 5), ("Good point.", 70, 71), ("Goodbye.", 122, 123)),
        entry(3, "Cleo", ("Sorry, I am late.", 65, 67), ("Bye!", 121.2, 121.8)),
    ) == [
        "Ada: Shall we start?",
        "Bob: Yes, please.",
        "Ada: Then I begin.",
        "Cleo: Sorry, I am late.",
        "Bob: Good point.",
        "Ada: Bye.",
        "Cleo: Bye!",
        "Bob: Goodbye.",
    ]


@pytest.mark.parametrize("lasts", [0.4, 1.0, None], ids=["pauses", "no-pauses", "no-ends"])
def test_word_by_word_turns_are_kept_apart(lasts: float | None) -> None:
    assert told(
        entry(1, "Ada", *every(3, "a b c", 0, lasts)),
        entry(2, "Bob", *every(3, "d e f", 1, lasts)),
        entry(3, "Cleo", *every(3, "g h i", 2, lasts)),
    ) == [f"{name}: {word}" for at in range(3) for name, word in _AT[at]]


_AT = [list(zip(("Ada", "Bob", "Cleo"), words, strict=True)) for words in ("adg", "beh", "cfi")]


@pytest.mark.parametrize("lasts", [0.5, 0.6, None], ids=["breaths", "no-breaths", "no-ends"])
def test_an_interruption_parts_a_monologue(lasts: float | None) -> None:
    monologue = every(0.6, " ".join(f"w{n}" for n in range(60)), 0, lasts)
    lines = told(
        entry(1, "Ada", *monologue), entry(2, "Bob", ("No.", 5.2, 5.6), ("Really, no.", 20.1, 20.5))
    )
    names = [line.partition(":")[0] for line in lines]
    assert names == ["Ada", "Bob", "Ada", "Bob", "Ada"]
    assert lines[1] == "Bob: No." and lines[2].startswith("Ada: w9 ")
    assert lines[3] == "Bob: Really, no." and lines[4].startswith("Ada: w34 ")


def test_a_caption_names_the_speaker_again_after_an_interruption() -> None:
    parts = read_parts(
        [
            entry(
                1, "Ada", *every(0.6, "we should ship it on Monday as the tests are green", 0, 0.5)
            ),
            entry(2, "Bob", ("No.", 3.2, 3.5)),
        ]
    )
    assert [line for line in render(parts, "srt").splitlines() if ": " in line] == [
        "Ada: we should ship it on Monday",
        "Bob: No.",
        "Ada: as the tests are green",
    ]


def test_people_who_talk_at_the_same_time_are_told_in_whole_sentences() -> None:
    assert told(
        entry(1, "Ada", *every(0.5, "I think that we should", 0, 0.45)),
        entry(2, "Bob", *every(0.5, "wait hold on please", 1.1, 0.45)),
    ) == ["Ada: I think that", "Bob: wait hold on please", "Ada: we should"]


def test_captions_without_times_of_words_keep_the_order_of_their_entries() -> None:
    assert told(
        entry(1, "Ada", ("First", 1, None), ("of", None, None), ("all", None, None)),
        entry(2, "Bob", ("Second", 2, None), ("to", 2, None), ("none", 2, None)),
        entry(1, "Ada", ("third", None, None), ("time", None, None)),
        entry(3, "Cleo", ("Fourth", 2.5, 2.6), ("estate", None, None)),
    ) == ["Ada: First of all", "Bob: Second to none", "Ada: third time", "Cleo: Fourth estate"]


def test_what_begins_at_the_same_moment_keeps_the_order_of_the_entries() -> None:
    both = [entry(2, "Bob", *every(0, "one two", 5)), entry(1, "Ada", *every(0, "three four", 5))]
    assert told(*both) == ["Bob: one two", "Ada: three four"]
    assert told(*reversed(both)) == ["Ada: three four", "Bob: one two"]


def test_entries_in_any_order_are_told_by_their_times() -> None:
    entries = [
        entry(2, "Bob", ("b", 3, 4), ("d", 9, 10)),
        entry(3, None, ("c", 6, 7)),
        entry(1, "Ada", ("a", 0, 1), ("e", 12, 13)),
    ]
    lines = ["Ada: a", "Bob: b", "Speaker 1: c", "Bob: d", "Ada: e"]
    assert told(*entries) == told(*reversed(entries)) == lines


def test_a_word_whose_time_makes_no_sense_stays_in_its_sentence() -> None:
    assert told(
        entry(1, "Ada", ("one", 1, 2), ("two", 0.2, 0.1), ("three", None, 9), ("four", -1, None)),
        entry(2, "Bob", ("five", 20, 21)),
    ) == ["Ada: one two three four", "Bob: five"]


def test_namesakes_take_turns() -> None:
    parts = read_parts(
        [entry(1, "Kim", ("a", 0, 1), ("c", 4, 5)), entry(2, "Kim", ("b", 2, 3), ("d", 6, 7))]
    )
    assert [(turn.speaker, turn.text) for turn in turns(parts)] == [("Kim", c) for c in "abcd"]
    assert render(parts, "srt").count("Kim: ") == 4


_moments = st.none() | st.integers(0, 12).map(lambda n: n / 2)
_entries = st.lists(
    st.tuples(
        st.sampled_from(["Ada", "Bob", "Cleo"]),
        st.lists(st.tuples(_moments, _moments), min_size=1, max_size=8),
    ),
    max_size=5,
)


@given(_entries)
def test_any_conversation_is_told_whole_in_order_and_with_its_speakers(
    said: list[tuple[str, list[tuple[float | None, float | None]]]],
) -> None:
    parts = read_parts(
        [
            entry(name, name, *((f"{name}{at}x{n}", *times) for n, times in enumerate(words)))
            for at, (name, words) in enumerate(said)
        ]
    )
    made = turns(parts)
    assert all(one.start <= other.start for one, other in pairwise(made))
    assert all(word.startswith(turn.speaker) for turn in made for word in turn.text.split())
    spoken = [word for turn in made for word in turn.text.split()]
    assert sorted(spoken) == sorted(word.text for part in parts for word in part.words)
    for part in parts:
        places = [spoken.index(word.text) for word in part.words]
        assert places == sorted(places)
    for cue in cues(made):
        assert all(w.startswith(cue.speaker) for line in cue.lines for w in line.split())
    for name, text in _by_subtitles(parts):
        assert all(word.startswith(name) for word in text.split())
