"""What the server's processes take of the machine."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from bench.servers import wait_until


def listening(port: int) -> psutil.Process:
    """The oldest process of ours that listens there: gunicorn's master, not its children."""
    mine = sorted(psutil.Process().children(recursive=True), key=lambda each: each.create_time())
    found: list[psutil.Process] = []

    def look() -> bool:
        for each in mine:
            sockets = [one for one in each.net_connections("inet") if one.status == "LISTEN"]
            if any(one.laddr.port == port for one in sockets):
                found.append(each)
        return bool(found)

    wait_until(look, f"somebody to listen at port {port}")
    return found[0]


def rss(process: psutil.Process) -> float:
    """Its resident memory, in MiB."""
    return float(process.memory_info().rss / 2**20)


def cpu(processes: Iterable[psutil.Process]) -> float:
    """The seconds of a core that they have used since they began."""
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))
