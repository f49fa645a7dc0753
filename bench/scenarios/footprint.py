"""What the server needs: memory, start-up time, disk space, dependencies."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from bench.processes import listening, rss
from bench.report import Figure
from bench.samples import median, spread
from bench.servers import Bench
from bench.spates import spate, wait_for_connections
from sandbox.processes import ROOT

SOURCES = ("app.py", "config.py", "models.py", "gunicorn.conf.py", "rtms", "migrations")
STARTS = 5
MEETINGS = 300  # connected before memory is measured
_NAME = re.compile(r"^([A-Za-z0-9._-]+)")


def run(bench: Bench, engine: str) -> Iterator[Figure]:
    """Measure several starts, and the memory after some work."""
    bench.progress(f"footprint, {engine}")
    with bench.recall() as recall:
        began = []
        url = bench.databases.fresh(engine)
        for _ in range(2 if bench.quick else STARTS):
            at = time.monotonic()
            with bench.web(url, recall.url):
                began.append(time.monotonic() - at)
        yield _figure(engine, "start-up, until /readyz says 200", median(began), "s", spread(began))
        with bench.web(url, recall.url) as address, bench.worker(url, recall.url) as worker:
            spate([address], MEETINGS, 6.0)
            wait_for_connections(recall, MEETINGS, 30.0)
            master = listening(address.port)
            children = [rss(each) for each in master.children()]
            yield _figure(engine, "resident memory, gunicorn's master", rss(master), "MiB")
            yield _figure(
                engine, "resident memory, each web process", max(children), "MiB", spread(children)
            )
            yield _figure(
                engine, "resident memory, a worker", rss(psutil.Process(worker.pid)), "MiB"
            )


def beside(bench: Bench) -> Iterator[Figure]:
    """Measure the size of what is deployed, and the memory of the quickstart."""
    parts = [path for name in SOURCES for path in _files(ROOT / name)]
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in parts)
    size = sum(path.stat().st_size for path in parts)
    yield _figure(
        "-", "sources that are deployed", size / 1024, "KiB", {},
        f"{len(parts)} files, {lines:,} lines; there is no wheel",
    )  # fmt: skip
    direct, every = _required("requirements.in"), _required("requirements.txt")
    present = [name for name in every if _weight(name) is not None]
    weight = sum(_weight(name) or 0 for name in present)
    yield _figure("-", "dependencies, direct", len(direct))
    yield _figure("-", "dependencies, all", len(present))
    yield _figure("-", "site-packages of all dependencies", weight / 2**20, "MiB")
    if why := bench.why_no_quickstart():
        bench.progress(f"footprint, quickstart: {why}")
    else:
        with bench.recall() as recall, bench.quickstart(recall.url) as address:
            spate([address], MEETINGS, 6.0)
            memory = rss(listening(address.port))
        yield _figure("quickstart", "resident memory", memory, "MiB")


def _figure(
    engine: str,
    name: str,
    value: float,
    unit: str = "",
    samples: dict[str, float] | None = None,
    note: str = "",
) -> Figure:
    return Figure(
        scenario="footprint", engine=engine, figure=name, value=value, unit=unit,
        samples=samples or {}, note=note,
    )  # fmt: skip


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for each in sorted(path.rglob("*")) if path.is_dir() else ():
        if each.is_file() and each.suffix != ".pyc":
            yield each


def _required(name: str) -> list[str]:
    """Return the packages that a requirements file names."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [found[1] for line in lines if (found := _NAME.match(line))]


def _weight(name: str) -> int | None:
    """Return the size of a package's files, in bytes; None if this platform does not need it."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return None
    located = (Path(str(each.locate())) for each in files)
    return sum(each.stat().st_size for each in located if each.is_file())
