"""Fuzz the routes: `python -m tests.fuzz --inputs 100000 --seed 1`.

Most inputs go through the application inside this process, every twentieth as bytes over the wire
to a server of its own. The first that gets a 5xx, an exception or a secret is printed, and the
command that makes it again; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from app import create_app
from config import Config
from rtms.services import get_services
from tests.fuzz.inputs import Inputs
from tests.fuzz.routes import VARIABLES, Routes, ask_server
from tests.servers import Server

_WIRE_EVERY = 20
_TELL_EVERY = 5.0  # seconds


def main(arguments: list[str] | None = None) -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other inputs")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="just this input of the seed")
    given = parser.parse_args(arguments)
    inputs = Inputs(given.seed)
    numbers = range(given.inputs) if given.only is None else range(given.only, given.only + 1)
    counts: Counter[str] = Counter()
    began = told = time.monotonic()
    with _ways(inputs) as (ask, ask_wire, log):
        for number in numbers:
            over_wire = number % _WIRE_EVERY == 0
            try:
                status = ask_wire(number) if over_wire else ask(number)
            except Exception:
                _tell_failure(inputs, number, over_wire)
                return 1
            counts[f"{'wire ' if over_wire else ''}{status or 'closed'}"] += 1
            if time.monotonic() - told >= _TELL_EVERY:
                told = time.monotonic()
                print(
                    f"{number + 1:,} inputs, {(number + 1) / (told - began):,.0f} a second",
                    flush=True,
                )
    if "Traceback" in log():
        print(f"The server wrote a traceback:\n{log()}")
        return 1
    took = time.monotonic() - began
    print(f"{len(numbers):,} inputs of seed {given.seed} in {took:.0f} s:")
    print("no 5xx, no exception, no secret told")
    for name, count in sorted(counts.items()):
        print(f"{name:>12} {count:>9,}")
    return 0


_Ask = Callable[[int], int | None]


@contextmanager
def _ways(inputs: Inputs) -> Iterator[tuple[_Ask, _Ask, Callable[[], str]]]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'rtms.sqlite3'}"
        server = Server({**VARIABLES, "DATABASE_URL": url}, folder / "server.log")
        server.start()
        url = f"sqlite:///{folder / 'inside.sqlite3'}"
        logged = io.StringIO()
        with redirect_stderr(logged):
            app = create_app(Config.from_environ({**VARIABLES, "DATABASE_URL": url}))
        routes = Routes(app, logged)
        try:
            yield (
                lambda number: routes.ask(inputs.make(number)),
                lambda number: ask_server(server.port, inputs.make_wire(number)),
                server.log,
            )
        finally:
            server.kill()
            get_services(app).database.dispose()


def _tell_failure(inputs: Inputs, number: int, over_wire: bool) -> None:
    traceback.print_exc(file=sys.stdout)
    shown = inputs.make_wire(number) if over_wire else inputs.make(number)
    print(f"Input {number} of seed {inputs.seed}:\n{shown!r}")
    print(f"Again: .venv/bin/python -m tests.fuzz --seed {inputs.seed} --only {number}")


if __name__ == "__main__":
    sys.exit(main())
