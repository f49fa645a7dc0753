"""Runs checks one after another. Each has a time limit, and a broken one stops no other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rtms.doctor.finding import Finding, failure

_SLOW = 1.5  # seconds after which somebody who waits wants to know what for


@dataclass(frozen=True)
class Check:
    """Something to look at."""

    about: str
    seconds: float  # it may take at most
    look: Callable[[], Iterable[Finding]]


def run(checks: Sequence[Check], tell: Callable[[str], None]) -> Iterator[Finding]:
    """Yield what the checks find, as they find it.

    Args:
        checks: what to look at, in this order.
        tell: is given a line when a check takes long enough for somebody to wonder.
    """
    for check in checks:
        yield from _within_its_time(check, tell)


def _within_its_time(check: Check, tell: Callable[[str], None]) -> Iterator[Finding]:
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    # A daemon: what hangs in a system call is left behind when the command ends.
    threading.Thread(target=_look, args=(check, found), daemon=True).start()
    slow_at = time.monotonic() + _SLOW
    give_up_at = time.monotonic() + check.seconds
    told = False
    while True:
        until = give_up_at if told else min(slow_at, give_up_at)
        try:
            finding = found.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            if time.monotonic() >= give_up_at:
                yield failure(
                    check.about,
                    f"It was not done looking after {check.seconds:g} seconds.",
                    "Something hangs: the network, a disk, or the server that is asked. What was "
                    "found before this says how far it got.",
                )
                return
            if not told and time.monotonic() >= slow_at:
                told = True
                tell(f"Still looking at: {check.about} (for {check.seconds:g} seconds at most)")
            continue
        if finding is None:
            return
        yield finding


def _look(check: Check, found: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in check.look():
            found.put(finding)
    except Exception as error:  # its words may hold anything, so only its kind is said
        found.put(
            failure(
                check.about,
                f"The check itself broke ({type(error).__name__}).",
                "The other checks were made. Please report this, with the version you run.",
            )
        )
    finally:
        found.put(None)
