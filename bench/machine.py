"""Describes the machine and its software, without which results cannot be interpreted."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.load import client_name
from bench.samples import median
from sandbox.processes import ROOT

_SYNCS = 50
_LOOK_SECONDS = 1.0


def describe(folder: Path, postgresql: dict[str, str] | None) -> dict[str, Any]:
    """Return what the results depend on. The databases are in `folder`."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "rev-parse", "HEAD"),
        "changed_since": bool(_said("git", "status", "--porcelain", "--", ".", ":!bench/results")),
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "kernel": platform.release(),
            "load_before": os.getloadavg()[0],
            "busy_before_percent": psutil.cpu_percent(interval=_LOOK_SECONDS),
            "filesystem": _filesystem(folder),
            "fsync_ms": _fsync_ms(folder),
        },
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "postgresql": postgresql,
            "node": _said("node", "--version"),
            "client": client_name(),
        },
    }


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _filesystem(folder: Path) -> str | None:
    """Return the type of a folder's file system. In memory, a commit costs nothing."""
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda each: -len(each.mountpoint))
    for each in mounts:
        if folder.resolve().is_relative_to(each.mountpoint):
            return each.fstype
    return None


def _fsync_ms(folder: Path) -> float:
    """Return the median time of an fsync of 4 KiB, in ms: the minimum cost of a commit."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return round(median(took), 3)
