"""Child processes that end with the program that started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 5.0  # from SIGTERM to SIGKILL


@contextmanager
def running(*module: str, out: Any, err: Any, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module in its own process group, and stop it at the end."""
    command, quiet = [sys.executable, "-m", *module], subprocess.DEVNULL
    with ExitStack() as stack:
        with undisturbed():
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=quiet, stdout=out, stderr=err,
                start_new_session=True, **more,
            )  # fmt: skip
            stack.callback(stop, process)
        yield process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, then kill what is left of it and its children."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def leave(number: int, _frame: object = None) -> NoReturn:
    """Exit on a signal, and stop everything on the way."""
    for each in LEAVING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Defer signals, so that nothing is left running or half stopped."""
    came: list[int] = []
    held = [number for number in LEAVING if signal.getsignal(number) is leave]
    for number in held:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, leave)
    if came:
        leave(came[0])
