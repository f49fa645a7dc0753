"""Variables that look like this server's and are none of them. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_NEAR = 0.9  # of difflib's ratio: a letter too many, too few or wrong in ten
_HINT = 0.6
_SHORTEST = 6  # characters; shorter ones are near too many


@dataclass(frozen=True)
class Misspelt:
    """A variable that this server does not read, and that was probably meant for it."""

    name: str
    place: str  # .env or the environment
    near: str | None  # what may be meant

    def __str__(self) -> str:
        meant = f"; {self.near} may be meant" if self.near else ""
        return f"{self.name} in {self.place} is no variable of this server{meant}"


def misspelt(
    known: Collection[str], *, dotenv: Collection[str], environ: Collection[str]
) -> tuple[Misspelt, ...]:
    """Find the names that are nearly right.

    Args:
        known: the names that are read.
        dotenv: the names in `.env`, which is this server's own: one that only begins like the known
            ones is told, too.
        environ: the names in the environment, where most are other programs'.
    """
    set_already = {*dotenv, *environ}
    return (
        *_in_dotenv(known, dotenv),
        *(each for each in _in_environ(known, environ) if each.near not in set_already),
    )


def _in_dotenv(known: Collection[str], names: Collection[str]) -> Iterator[Misspelt]:
    beginnings = {f"{word}_" for word, found, _ in (name.partition("_") for name in known) if found}
    for name in sorted({*names} - {*known}):
        begins_like_one = name.upper().startswith(tuple(beginnings))
        near = _nearest(name, known, _HINT if begins_like_one else _NEAR)
        if near or begins_like_one:
            yield Misspelt(name, ".env", near)


def _in_environ(known: Collection[str], names: Collection[str]) -> Iterator[Misspelt]:
    for name in sorted({*names} - {*known}):
        near = _nearest(name, known, _NEAR) if len(name) >= _SHORTEST else None
        if near and near[0] == name[0].upper():
            yield Misspelt(name, "the environment", near)


def _nearest(name: str, known: Collection[str], cutoff: float) -> str | None:
    for each in known:  # in another order, as LOG_LEVLE, which counts twice for difflib
        if name.upper() != each and sorted(name.upper()) == sorted(each):
            return each
    return next(iter(difflib.get_close_matches(name.upper(), known, 1, cutoff)), None)
