"""Measures the CPU and memory of the server's processes."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from bench.servers import wait_until


def listening(port: int) -> psutil.Process:
    """Return our oldest process that listens on a port: gunicorn's master, not its children."""
    mine = sorted(psutil.Process().children(recursive=True), key=lambda each: each.create_time())
    found: list[psutil.Process] = []

    def look() -> bool:
        for each in mine:
            sockets = [one for one in each.net_connections("inet") if one.status == "LISTEN"]
            if any(one.laddr.port == port for one in sockets):
                found.append(each)
        return bool(found)

    wait_until(look, f"a process to listen on port {port}")
    return found[0]


def rss(process: psutil.Process) -> float:
    """Return a process's resident memory, in MiB."""
    return float(process.memory_info().rss / 2**20)


def cpu(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds that processes have used since they started."""
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))
