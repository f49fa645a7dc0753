"""What stands in a `.env` file is taken as it is written, or refused in words."""

from __future__ import annotations

import pytest

from rtms.configuration.env_file import EnvFile, parse

# A line, and the value that it gives to A.
AS_WRITTEN = [
    ("A=se$cret", "se$cret"),
    ("A=se${cr}et", "se${cr}et"),
    ("A='se${cr}et'", "se${cr}et"),
    ('A="se${cr:-x}et$"', "se${cr:-x}et$"),
    ("A=se#cret", "se#cret"),
    ("A=#secret", "#secret"),
    ("A='se #cret'", "se #cret"),
    ("A=secret # a comment", "secret"),
    ("A='secret'# a comment, isn't it", "secret"),
    ("A= # a comment", ""),
    ("A=", ""),
    ("A=it's", "it's"),
    ('A="it\'s"', "it's"),
    ("A='say \"hello\"'", 'say "hello"'),
    (r"A='it\'s'", "it's"),
    (r"A='a\nb\\c'", r"a\nb\\c"),
    (r'A="a\\b\"c"', r'a\b"c'),
    (r"A=a\nb\\c", r"a\nb\\c"),
    ("A=b=c==", "b=c=="),
    ("A = secret", "secret"),
    ("export A=secret", "secret"),
    ("A=secret  ", "secret"),
    ("A=secret\r\n", "secret"),
    ("A='secret'\r\nB=1\r\n", "secret"),
    ("\ufeffA=secret", "secret"),
    ("A=gr\u00fc\u00dfe-\u4e16\u754c", "gr\u00fc\u00dfe-\u4e16\u754c"),
    ("A='{\n  \"b\": 1\n}\n'", '{\n  "b": 1\n}\n'),
]


@pytest.mark.parametrize(("line", "value"), AS_WRITTEN)
def test_a_value_is_taken_as_it_is_written(line: str, value: str) -> None:
    found = parse(line.encode())
    assert found.problems == ()
    assert found.variables["A"] == value


REFUSED = [
    *(("A=secret\n".encode(encoding), "is not UTF-8 text") for encoding in (
        "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le",
    )),
    ("A=\u00e9\n".encode("latin-1"), "is not UTF-8 text"),
    (b"A='secret\nB=1\n", "line 1: a quote"),
    (b'# a comment\n\n\nA="secret\n', "line 4: a quote"),
    (b"A='secret'other\n", "line 1: a quote"),
    (b"A: secret\n", "line 1: it does not begin with the name"),
    (b"A secret\n", "line 1: it does not begin with the name"),
    (b"B=1\n\nA secret = 1\n", "line 3: it does not begin with the name"),
    (b"export A secret\n", "line 1: it does not begin with the name"),
    (b"export A='secret\n", "line 1: a quote"),
    (b"A = 'secret' other\n", "line 1: a quote"),
    (b"A:secret\n", "line 1: it does not begin with the name"),
    ("\u200bA=secret\n".encode(), "line 1: it does not begin with the name"),
    (b"A=1\nB=' secret'\n", "line 2: the value of B begins or ends with a space"),
    (b'A="secret\t"\n', "line 1: the value of A begins or ends with a space"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_what_cannot_be_read_is_refused_in_words(content: bytes, words: str) -> None:
    (problem,) = parse(content).problems
    assert words in problem
    assert "secret" not in problem


def test_every_line_that_is_wrong_is_named() -> None:
    found = parse(b'A=\'1\nB=2\nC="3" 4\n')
    assert [problem.split(":")[0] for problem in found.problems] == [
        "cannot be read at line 1",
        "cannot be read at line 3",
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# A=1\n", b"A\n"])
def test_what_is_not_set_is_left_out(content: bytes) -> None:
    assert parse(content) == EnvFile({}, ())


def test_an_empty_line_of_a_variable_does_not_hide_another() -> None:
    assert parse(b"A=1\nB=2\nA=\nB=''\n").variables == {"A": "1", "B": "2"}
    assert parse(b"A=\nA=1\nA=2\n").variables == {"A": "2"}
