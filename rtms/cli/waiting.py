"""Says what a command is at where that takes a while: on stderr, and never after its output."""

from __future__ import annotations

import sys
import threading
from typing import Self

import click

from rtms.cli import tables

_PATIENCE = 1.0  # seconds after which somebody who waits wants to know what for
_LOOK_EVERY = 0.1  # seconds
_LINE_EVERY = 5.0  # seconds between two lines


class Waiting:
    """A spinner with words beside it on a terminal, which is gone when the waiting ends; elsewhere
    a plain line now and then. Nothing where it is over soon, or where there are no words.

    Args:
        words: what is being done.
        patience: seconds without a word.
    """

    def __init__(self, words: str = "", *, patience: float = _PATIENCE) -> None:
        self._words = words
        self._patience = patience

    def say(self, words: str) -> None:
        """Change the words."""
        self._words = words

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        wait = self._patience
        while not self._over.wait(wait):
            wait = _LOOK_EVERY
            if not self._words:
                continue
            if sys.stderr.isatty():
                self._spin()
            else:
                click.echo(f"{self._words} ...", err=True)
                wait = _LINE_EVERY

    def _spin(self) -> None:
        with tables.console(stderr=True).status(self._words) as status:
            while not self._over.wait(_LOOK_EVERY):
                status.update(self._words)
