"""Find misspelt names of variables. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_NEAR = 0.9  # difflib's ratio: one letter in ten added, missing or wrong
_HINT = 0.6
_SHORTEST = 6  # characters; shorter names are close to too many others


@dataclass(frozen=True)
class Misspelt:
    """A variable that this server does not read but that was probably meant for it."""

    name: str
    place: str  # .env or the environment
    near: str | None  # the name that may be meant

    def __str__(self) -> str:
        meant = f"; {self.near} may be meant" if self.near else ""
        return f"{self.name} in {self.place} is not a variable of this server{meant}"


def misspelt(
    known: Collection[str], *, dotenv: Collection[str], environ: Collection[str]
) -> tuple[Misspelt, ...]:
    """Return the names that are nearly right.

    Args:
        known: the names that are read.
        dotenv: the names in `.env`. Since that file is this server's, a name that only begins like
            a known one is returned too.
        environ: the names in the environment, most of which belong to other programs.
    """
    set_already = {*dotenv, *environ}
    return (
        *_in_dotenv(known, dotenv),
        *(each for each in _in_environ(known, environ) if each.near not in set_already),
    )


def _in_dotenv(known: Collection[str], names: Collection[str]) -> Iterator[Misspelt]:
    prefixes = {f"{word}_" for word, found, _ in (name.partition("_") for name in known) if found}
    for name in sorted({*names} - {*known}):
        has_prefix = name.upper().startswith(tuple(prefixes))
        near = _nearest(name, known, _HINT if has_prefix else _NEAR)
        if near or has_prefix:
            yield Misspelt(name, ".env", near)


def _in_environ(known: Collection[str], names: Collection[str]) -> Iterator[Misspelt]:
    for name in sorted({*names} - {*known}):
        near = _nearest(name, known, _NEAR) if len(name) >= _SHORTEST else None
        if near and near[0] == name[0].upper():
            yield Misspelt(name, "the environment", near)


def _nearest(name: str, known: Collection[str], cutoff: float) -> str | None:
    for each in known:  # transposed letters, as in LOG_LEVLE, count twice for difflib
        if name.upper() != each and sorted(name.upper()) == sorted(each):
            return each
    return next(iter(difflib.get_close_matches(name.upper(), known, 1, cutoff)), None)
