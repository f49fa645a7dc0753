"""Loaded into the server through EXTENSIONS: its wall clock steps when a test says so.

Simulated is what a step of the system's clock does to the two places that read wall time,
`rtms.clock.now` and `time.time`. Clocks that only measure (`time.monotonic`) go on, as on a real
machine; PostgreSQL's and Recall's own clocks stay right.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from rtms import clock

_STEP = Path(os.environ["CLOCK_STEP"])  # a file that holds the seconds; absent: none
_true_time = time.time


def _time() -> float:
    return _true_time() + (float(_STEP.read_text()) if _STEP.exists() else 0.0)


def _now() -> datetime:
    return datetime.fromtimestamp(_time(), UTC)


time.time = _time
clock.now = _now
