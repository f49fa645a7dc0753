"""What a check has to say: how bad it is, what was found, and what to do next."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from sqlalchemy.engine import URL

from config import Config

_SHORTEST_SECRET = 8  # characters; to hide a shorter one, which may be a word, would tell it


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and something should be looked after
    FAILURE = "failure"  # meetings are lost, or somebody could forge them


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    grade: Grade
    found: str
    next_step: str | None = None  # nothing to do


def ok(about: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Grade.OK, found)


def warning(about: str, found: str, next_step: str) -> Finding:
    """It works, and should be looked after."""
    return Finding(about, Grade.WARNING, found, next_step)


def failure(about: str, found: str, next_step: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(about, Grade.FAILURE, found, next_step)


def without_secrets(finding: Finding, secrets: Iterable[str]) -> Finding:
    """The same finding, in case that what it quotes of somebody else holds a secret of ours."""
    found, next_step = finding.found, finding.next_step
    for secret in secrets:
        found = found.replace(secret, "[hidden]")
        next_step = next_step and next_step.replace(secret, "[hidden]")
    return replace(finding, found=found, next_step=next_step)


def secrets_of(config: Config) -> list[str]:
    """Return every value that nobody may read, the longest first: one may hold another. They are
    those of the fields that the configuration keeps out of its `repr`."""
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
    elif isinstance(value, Mapping):  # what is asked of Recall: only its URLs may carry tokens
        yield from re.findall(r'"(\w+://[^"]+)"', json.dumps(value, ensure_ascii=False))
