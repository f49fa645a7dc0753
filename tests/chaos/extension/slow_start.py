"""Loaded into the server through EXTENSIONS: a process takes long to start when a test says so, as
on a machine that has much to do."""

import os
import time
from pathlib import Path

_SECONDS = Path(os.environ["SLOW_START"])  # a file that holds the seconds; absent: none

if _SECONDS.exists():
    time.sleep(float(_SECONDS.read_text()))
