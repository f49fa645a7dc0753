"""Lays out tables and labelled values in lines, for any screen width. Pure.

An identifier is never broken, so that people can copy it and search for it. A cell that does not
fit in its row goes on a line of its own below. Only text is wrapped, between words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from rich.cells import cell_len

from rtms.text import shown

# A part of a line and its rich style. A line is a list of spans.
Span: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Span]

_GAP = 2  # cells between two columns
_INDENT = 3  # cells before a line below its row
_LEAST_TEXT = 16  # cells that a column of text needs at least
DIM, BOLD, PLAIN = "dim", "bold", ""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    heading: str
    is_fixed: bool = False  # always in the row: short, and needed in every row
    is_text: bool = False  # words that may be wrapped; other columns are identifiers


@dataclass(frozen=True)
class _Placed:
    """A column that stands in the row."""

    at: int  # its index among the columns
    width: int  # cells


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Span]], width: int | None
) -> Iterator[Line]:
    """Yield the lines of a table. A column that is empty in every row is left out.

    Args:
        columns: from left to right.
        rows: a cell for each column.
        width: of the screen, in cells. None for a file or a pipe, where each row is one line.
    """
    cells = [[(printable(text), style) for text, style in row] for row in rows]
    filled = [at for at in range(len(columns)) if any(row[at][0] for row in cells)]
    beside, below = _placed(columns, cells, filled, width)
    headings = [columns[each.at].heading for each in beside]
    head = "".join(_padded(text, each.width) for text, each in zip(headings, beside, strict=True))
    yield [(head.rstrip(), BOLD)]
    if width is not None:
        yield [("─" * min(sum(each.width + _GAP for each in beside) - _GAP, width), DIM)]
    for row in cells:
        yield from _row(columns, row, beside, below, width)


def labelled(fields: Sequence[tuple[str, str]], width: int | None) -> Iterator[Line]:
    """Yield labels and their values, one per line. A long value is wrapped with an indent.

    Args:
        fields: labels and values.
        width: of the screen, in cells. None for a file or a pipe, where each value is one line.
    """
    longest = max((cell_len(label) for label, _ in fields), default=0)
    for label, value in fields:
        head = [(_padded(label, longest), BOLD)]
        yield from hanging(head, longest + _GAP, printable(value), PLAIN, width)


def hanging(
    head: Line, indent: int, text: str, style: str, width: int | None, *, is_text: bool = False
) -> Iterator[Line]:
    """Yield a head followed by a text, with a hanging indent.

    Args:
        head: the start of the first line, `indent` cells wide.
        text: a single line.
        is_text: whether a word longer than a line may be broken.
    """
    if width is None:
        yield [*head, (text, style)] if text else head
        return
    longest = max((cell_len(word) for word in text.split()), default=0)
    if not is_text and longest > width - indent:  # put the text on lines of its own
        yield _trimmed(head)
        indent = _INDENT if longest <= width - _INDENT else 0
        head = [(" " * indent, PLAIN)]
    for number, line in enumerate(wrapped(text, width - indent, is_text=is_text) or [""]):
        yield [*(head if number == 0 else [(" " * indent, PLAIN)]), (line, style)]


def wrapped(text: str, width: int, *, is_text: bool = True) -> list[str]:
    """Return a text in lines, broken between words.

    Args:
        width: of a line, in cells.
        is_text: whether a word longer than a line may be broken (an identifier may not).
    """
    lines: list[str] = []
    for word in text.split():
        pieces = _pieces(word, width) if is_text else [word]
        if lines and cell_len(lines[-1]) + 1 + cell_len(pieces[0]) <= width:
            lines[-1] += f" {pieces.pop(0)}"
        lines += pieces
    return lines


def printable(text: str) -> str:
    """Return a text on one line, without control characters."""
    return shown(text, longest=len(text)) or ""


def _placed(
    columns: Sequence[Column],
    cells: Sequence[Sequence[Span]],
    filled: Sequence[int],
    width: int | None,
) -> tuple[list[_Placed], list[int]]:
    """Return the columns that stand in the row, and those that go below it."""
    beside: list[_Placed] = []
    below: list[int] = []
    left = width if width is not None else 1 << 30
    for at in filled:
        widest = max(cell_len(text) for text in (columns[at].heading, *(r[at][0] for r in cells)))
        is_first = all(columns[each.at].is_fixed for each in beside)
        if columns[at].is_fixed or widest <= left:
            room = widest
        elif (columns[at].is_text and left >= _LEAST_TEXT) or (
            is_first and left >= cell_len(columns[at].heading)
        ):
            room = left  # only the cells that do not fit go below
        else:
            below.append(at)
            continue
        beside.append(_Placed(at, room))
        left -= room + _GAP
    return beside, below


def _row(
    columns: Sequence[Column],
    row: Sequence[Span],
    beside: Sequence[_Placed],
    below: Sequence[int],
    width: int | None,
) -> Iterator[Line]:
    stacks: list[list[Span]] = []  # the lines of each column in the row
    under = list(below)
    for each in beside:
        text, style = row[each.at]
        if columns[each.at].is_text:
            stacks.append([(line, style) for line in wrapped(text, each.width)])
        elif cell_len(text) <= each.width:
            stacks.append([(text, style)])
        else:
            stacks.append([])
            under.append(each.at)
    for line in zip_longest(*stacks, fillvalue=("", PLAIN)):
        placed = zip(line, beside, strict=True)
        yield _trimmed([(_padded(text, each.width), style) for (text, style), each in placed])
    label = max((cell_len(columns[at].heading) for at in under), default=0)
    for at in sorted(under):
        text, style = row[at]
        if text:
            head = [(" " * _INDENT + _padded(columns[at].heading, label), DIM)]
            indent = _INDENT + label + _GAP
            yield from hanging(head, indent, text, style, width, is_text=columns[at].is_text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width + _GAP - cell_len(text))


def _trimmed(line: Line) -> Line:
    """Return a line without trailing blanks."""
    kept = list(line)
    while kept and not kept[-1][0].strip():
        kept.pop()
    return [*kept[:-1], (kept[-1][0].rstrip(), kept[-1][1])] if kept else kept


def _pieces(word: str, width: int) -> list[str]:
    """Return a word in pieces that fit. A character without width stays with the one before it."""
    pieces = [""]
    for each in word:
        if cell_len(each) and pieces[-1] and cell_len(pieces[-1] + each) > width:
            pieces.append("")
        pieces[-1] += each
    return pieces
