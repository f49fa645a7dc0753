"""Parse `.env` files without interpolation. Pure."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from dotenv.parser import Binding, parse_stream

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ASSIGNS = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^'\r\n]+'|[^=\s#]+)[^\S\r\n]*=")
_SINGLE_QUOTED = re.compile(r"=[^\S\r\n]*'((?:\\.|[^'\\])*)'", re.DOTALL)


@dataclass(frozen=True)
class EnvFile:
    """The variables of a `.env` file."""

    variables: dict[str, str]
    problems: tuple[str, ...]  # what cannot be parsed, without values


def parse(content: bytes) -> EnvFile:
    """Parse a `.env` file's content. `$NAME` and `${NAME}` are not expanded, and text in single
    quotes is literal.

    Args:
        content: the file's bytes.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return EnvFile({}, ("is not UTF-8 text: save it as UTF-8",))
    if "\0" in text:
        return EnvFile({}, ("is not UTF-8 text (it looks like UTF-16): save it as UTF-8",))
    variables: dict[str, str] = {}
    problems = []
    for binding in parse_stream(io.StringIO(text, newline=None)):
        problem = _problem(binding)
        if problem:
            problems.append(f"cannot be read at line {_line(binding)}: {problem}")
        elif binding.key and binding.value is not None:
            value = _literal(binding)
            if value.strip() or binding.key not in variables:  # an empty value counts as not set
                variables[binding.key] = value
    return EnvFile(variables, tuple(problems))


def _problem(binding: Binding) -> str | None:
    if binding.error:
        if not _ASSIGNS.match(binding.original.string):
            return "it does not begin with the name of a variable and ="
        return "a quote is not closed, or something other than a comment follows it"
    if binding.key is None:
        return None  # blank, or a comment
    if not _NAME.fullmatch(binding.key):
        return "it does not begin with the name of a variable and ="
    value = binding.value or ""
    if "\n" not in value and value.strip() and value != value.strip():
        return f"the value of {binding.key} begins or ends with a space inside its quotes"
    return None


def _literal(binding: Binding) -> str:
    """Return a value in which a backslash in single quotes only escapes a single quote."""
    quoted = _SINGLE_QUOTED.search(binding.original.string)
    if quoted and binding.original.string.index("=") == quoted.start():
        return quoted[1].replace("\\'", "'")
    return binding.value or ""


def _line(binding: Binding) -> int:
    """Return a binding's line number, without the blank lines before it."""
    string = binding.original.string
    return binding.original.line + string[: len(string) - len(string.lstrip())].count("\n")
