"""Shows on stderr what a command is waiting for, if that takes a while."""

from __future__ import annotations

import sys
import threading
from typing import Self

import click

from rtms.cli import tables

_PATIENCE = 1.0  # seconds of waiting before anything is shown
_POLL_EVERY = 0.1  # seconds
_LINE_EVERY = 5.0  # seconds between two lines


class Waiting:
    """A spinner with a message on a terminal, or a line every few seconds elsewhere. It shows
    nothing if the wait is short or the message is empty, and the spinner is removed at the end.

    Args:
        message: what is being done.
        patience: seconds before anything is shown.
    """

    def __init__(self, message: str = "", *, patience: float = _PATIENCE) -> None:
        self._message = message
        self._patience = patience

    def say(self, message: str) -> None:
        """Change the message."""
        self._message = message

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
            wait = _POLL_EVERY
            if not self._message:
                continue
            if sys.stderr.isatty():
                self._spin()
            else:
                click.echo(f"{self._message} ...", err=True)
                wait = _LINE_EVERY

    def _spin(self) -> None:
        with tables.console(stderr=True).status(self._message) as status:
            while not self._over.wait(_POLL_EVERY):
                status.update(self._message)
