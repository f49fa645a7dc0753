"""Tables on screens of any width: an identifier is never broken, and nothing is lost."""

from __future__ import annotations

import itertools

import pytest
from rich.cells import cell_len

from rtms.cli.layout import Column, Line, hanging, labelled, printable, table, wrapped

COLUMNS = [
    Column("ID", is_fixed=True),
    Column("State", is_fixed=True),
    Column("Meeting"),
    Column("Topic", is_text=True),
    Column("At Recall"),
]
NUMBER, UUID = "83333333333", "4444AAAiAAAAAiAiAiiAii=="
RECALL_ID = "5f6a0b9e-7d52-4f0c-9e55-0b4a8ac2c111"
LONG_ID = "engagement-0123456789-0123456789-0123456789"
TOPIC = "A very long topic about the budget of the coming year"


def text_of(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def shown(*rows: tuple[str, ...], width: int | None) -> list[str]:
    """A table's lines; the least of the columns may be left out of a row."""
    cells = [[(text, "") for text in (*row, *[""] * (len(COLUMNS) - len(row)))] for row in rows]
    return text_of(list(table(COLUMNS, cells, width)))


@pytest.mark.parametrize("width", [None, 200, 120, 80, 60, 45])
@pytest.mark.parametrize("meeting", [NUMBER, UUID, f"webinar {UUID}", LONG_ID])
@pytest.mark.parametrize("topic", ["", "Weekly sync", TOPIC])
def test_no_identifier_is_broken_at_any_width(width: int | None, meeting: str, topic: str) -> None:
    lines = shown(
        ("1", "done", NUMBER, topic, f"{RECALL_ID} done"),
        ("1000000", "failed: window_expired", meeting, topic),
        width=width,
    )
    for wanted in (meeting.split()[-1], NUMBER, RECALL_ID):
        assert any(wanted in line for line in lines), wanted
    assert all(word in " ".join(lines) for word in topic.split())
    assert width is None or all(cell_len(line) <= width for line in lines)
    assert not any(line != line.rstrip() for line in lines)


def test_what_fits_is_one_line_a_row() -> None:
    assert shown(("1", "done", NUMBER, "Weekly sync", RECALL_ID), width=80) == [
        "ID  State  Meeting      Topic        At Recall",
        "─" * 73,
        f"1   done   {NUMBER}  Weekly sync  {RECALL_ID}",
    ]


def test_in_a_pipe_every_row_is_one_line_with_all_of_it() -> None:
    row = ("1", "failed: window_expired", LONG_ID, TOPIC, f"{RECALL_ID} done")
    lines = shown(row, width=None)
    assert len(lines) == 2
    assert all(cell in lines[1] for cell in row)


def test_what_does_not_fit_stands_below_its_row_and_under_its_name() -> None:
    assert shown(("7", "done", UUID, "Weekly sync", f"{RECALL_ID} done"), width=60) == [
        "ID  State  Meeting                   Topic",
        "─" * 48,
        f"7   done   {UUID}  Weekly sync",
        f"   At Recall  {RECALL_ID} done",
    ]


def test_one_long_identifier_moves_no_other_row() -> None:
    lines = shown(("1", "done", NUMBER), ("2", "done", LONG_ID), width=45)
    assert lines[2] == f"1   done   {NUMBER}"
    assert lines[3:] == ["2   done", "   Meeting", LONG_ID]


def test_a_column_that_is_empty_is_left_out() -> None:
    assert shown(("1", "done", NUMBER), width=80)[0] == "ID  State  Meeting"


def test_wide_characters_take_two_cells() -> None:
    topic = "四半期ビジネスレビューと来年度の計画"
    lines = shown(("1", "done", NUMBER, topic, "x"), ("2", "done", NUMBER, "ok", "y"), width=45)
    assert all(cell_len(line) <= 45 for line in lines)
    assert "".join(line[24:].strip() for line in lines[2:4]).removesuffix("x") == topic


def test_labels_stand_before_values_whose_lines_have_an_indent() -> None:
    lines = text_of(list(labelled([("id", "1"), ("meaning", "to be connected by itself")], 24)))
    assert lines == ["id       1", "meaning  to be connected", "         by itself"]


@pytest.mark.parametrize("width", [80, 40, 20])
def test_a_long_value_stands_below_its_label_unbroken(width: int) -> None:
    url = f"wss://{'a' * 90}.zoom.example:443"
    lines = text_of(list(labelled([("server_urls", url), ("id", "1")], width)))
    assert lines == ["server_urls", url, "id           1"]


def test_a_text_hangs_behind_its_head() -> None:
    lines = text_of(list(hanging([("ok  ", "")], 4, "one two three", "", 12)))
    assert lines == ["ok  one two", "    three"]
    assert text_of(list(hanging([("ok  ", "")], 4, "one two", "", None))) == ["ok  one two"]


def test_wrapping_loses_nothing() -> None:
    text = f"one {'x' * 30} {'あ' * 9} e\u0301 end"
    for width, is_text in itertools.product((3, 7, 80), (True, False)):
        lines = wrapped(text, width, is_text=is_text)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not is_text or all(cell_len(line) <= width for line in lines)
        assert not any(line.startswith("\u0301") for line in lines)
    assert wrapped("", 80) == []


def test_nothing_steers_the_terminal() -> None:
    assert printable("a\x1b[31mb\r\nc\u202ed\ud83d") == "a [31mb cd\ufffd"
    assert shown(("1", "done", "a\x1b[2Jb"), width=80)[2] == "1   done   a [2Jb"
