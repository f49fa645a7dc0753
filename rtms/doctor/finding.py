"""The result of a check: its grade, what was found, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from sqlalchemy.engine import URL

from config import Config

_SHORTEST_SECRET = 8  # characters; a shorter one may be a word, and hiding the word would reveal it


class Grade(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"  # works, but needs attention
    FAILURE = "failure"  # meetings are lost, or could be forged


@dataclass(frozen=True)
class Finding:
    """One result of a check."""

    about: str
    grade: Grade
    found: str
    next_step: str | None = None  # None: nothing to do


def ok(about: str, found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(about, Grade.OK, found)


def warning(about: str, found: str, next_step: str) -> Finding:
    """Return a finding that works but needs attention."""
    return Finding(about, Grade.WARNING, found, next_step)


def failure(about: str, found: str, next_step: str) -> Finding:
    """Return a finding that does not work, or is not safe."""
    return Finding(about, Grade.FAILURE, found, next_step)


def without_secrets(finding: Finding, secrets: Iterable[str]) -> Finding:
    """Return the finding with our secrets hidden, because it may quote another program."""
    found, next_step = finding.found, finding.next_step
    for secret in secrets:
        found = found.replace(secret, "[hidden]")
        next_step = next_step and next_step.replace(secret, "[hidden]")
    return replace(finding, found=found, next_step=next_step)


def secrets_of(config: Config) -> list[str]:
    """Return the secrets in the configuration, which are its fields without `repr`. The longest
    comes first, because it may contain another."""
    values = (getattr(config, each.name) for each in fields(config) if not each.repr)
    found = {text for value in values for text in _texts(value) if len(text) >= _SHORTEST_SECRET}
    return sorted(found, key=len, reverse=True)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, URL):  # of the database
        yield str(value.password or "")
    elif isinstance(value, tuple):
        yield from value
    elif isinstance(value, Mapping):  # RECORDING_CONFIG: only its URLs may hold tokens
        yield from re.findall(r'"(\w+://[^"]+)"', json.dumps(value, ensure_ascii=False))
