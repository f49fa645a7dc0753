"""Python loads this by itself: a process that was just forked goes no further while a file is
there, as on a machine that has much to do."""

import os
import time
from pathlib import Path

_SLOW = Path(os.environ["SLOW_FORK"])


def _wait() -> None:
    while _SLOW.exists():
        time.sleep(0.02)


os.register_at_fork(after_in_child=_wait)
