"""Loaded into the server through EXTENSIONS: a subscriber that takes its time in a C library, which
lets no greenlet run, and then writes down what it was told."""

import ctypes
import os
from pathlib import Path
from typing import Any

from rtms import signals

_TOLD = Path(os.environ["TOLD"])


@signals.stream_connected.connect
def _note(app: Any, meeting: Any, **named: Any) -> None:
    with _TOLD.open("a") as told:
        told.write(f"begun {meeting.id}\n")
    ctypes.CDLL(None).sleep(3)
    with _TOLD.open("a") as told:
        told.write(f"done {meeting.id}\n")
