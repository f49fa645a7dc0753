"""Whether the application can be made, tried before a reload."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

_FINE = "fine"
_SECONDS = 20.0  # for the user's own modules too


def problem_with(make_app: Callable[[], object]) -> str | None:
    """Make the application in a short-lived process: what that imports, or breaks, stays there.

    Args:
        make_app: makes it.

    Returns:
        Why it cannot be made, in words; None where it can.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try(make_app, writer)
    os.close(writer)
    try:
        with open(reader, encoding="utf-8") as pipe:
            if not select.select([pipe], [], [], _SECONDS)[0]:
                return f"The application does not start within {_SECONDS:.0f} seconds."
            said = pipe.read()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None if said == _FINE else said


def _try(make_app: Callable[[], object], writer: int) -> NoReturn:
    said = "The process ends while it makes the application."
    try:
        make_app()
        said = _FINE
    except Exception as error:
        said = str(error) or type(error).__name__
    finally:
        os.write(writer, said.encode())
        os._exit(0)
