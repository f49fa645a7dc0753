"""Loaded into the server through EXTENSIONS: a process starts no further while a file is there, as
on a machine that has much to do."""

import os
import time
from pathlib import Path

_SLOW = Path(os.environ["SLOW_START"])

while _SLOW.exists():
    time.sleep(0.02)
