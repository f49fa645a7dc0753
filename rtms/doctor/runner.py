"""Runs the checks one after another, each with a time limit. One that crashes stops no other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rtms.doctor.finding import Finding, failure

_SLOW = 1.5  # seconds until a check in progress is reported


@dataclass(frozen=True)
class Check:
    """One part of the deployment to check."""

    about: str
    seconds: float  # time limit
    look: Callable[[], Iterable[Finding]]


def run(checks: Sequence[Check], report: Callable[[str], None]) -> Iterator[Finding]:
    """Yield the findings of the checks as they come.

    Args:
        checks: run in this order.
        report: called with a message when a check is slow.
    """
    for check in checks:
        yield from _run_with_limit(check, report)


def _run_with_limit(check: Check, report: Callable[[str], None]) -> Iterator[Finding]:
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    # A daemon, so that a check that hangs in a system call does not keep the command from ending.
    threading.Thread(target=_look, args=(check, found), daemon=True).start()
    slow_at = time.monotonic() + _SLOW
    give_up_at = time.monotonic() + check.seconds
    reported = False
    while True:
        until = give_up_at if reported else min(slow_at, give_up_at)
        try:
            finding = found.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            if time.monotonic() >= give_up_at:
                yield failure(
                    check.about,
                    f"The check did not finish in {check.seconds:g} seconds.",
                    "The network, a disk or the server that was asked hangs. The findings above "
                    "show how far the check got.",
                )
                return
            if not reported and time.monotonic() >= slow_at:
                reported = True
                report(f"Still checking: {check.about} (at most {check.seconds:g} seconds)")
            continue
        if finding is None:
            return
        yield finding


def _look(check: Check, found: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in check.look():
            found.put(finding)
    except Exception as error:  # its message may hold a secret, so only the type is shown
        found.put(
            failure(
                check.about,
                f"The check itself crashed ({type(error).__name__}).",
                "The other checks ran. Please report this, with the output of `flask version`.",
            )
        )
    finally:
        found.put(None)
