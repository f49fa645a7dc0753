"""Try in a short-lived process what a start or a reload depends on."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

_FINE = "fine"
_ENDS = "The process ended while it created the application."
_MAX_MESSAGE = 4096  # bytes; a pipe takes as many at once
_SECONDS = 20.0  # for the user's own modules too


def problem_with(step: Callable[[], object]) -> str | None:
    """Do a step of the start in a short-lived process: what it imports, or breaks, stays there.

    Returns:
        Why the step fails, in words; None where it succeeds.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try(step, writer)
    os.close(writer)
    try:
        if not select.select([reader], [], [], _SECONDS)[0]:
            return f"The application does not start within {_SECONDS:.0f} seconds."
        # Do not read to the end: a process that the user's modules forked may hold the pipe open.
        said = os.read(reader, _MAX_MESSAGE).decode(errors="replace") or _ENDS
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None if said == _FINE else said


def _try(step: Callable[[], object], writer: int) -> NoReturn:
    said = _ENDS
    try:
        step()
        said = _FINE
    except Exception as error:
        said = str(error) or type(error).__name__
    finally:
        os.write(writer, said.encode()[:_MAX_MESSAGE])
        os._exit(0)
