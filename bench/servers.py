"""What is measured and what it needs, as processes that do not outlive the benchmark."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.databases import Databases
from bench.ledger import Recall
from sandbox.demo import own_environ
from sandbox.processes import ROOT, undisturbed

_PATIENCE = 60.0  # seconds for a process to be ready, on a machine that is busy
WORKER_BEGAN = "worker started"
_QUICKSTART = Path(__file__).parent / "quickstart"


class Trouble(Exception):
    """The benchmark cannot go on; the message says why."""


class Process(subprocess.Popen[bytes]):
    """A process, and the file with what it says."""

    log: Path

    def has_said(self, words: str) -> bool:
        """Whether it has said this."""
        return words in self.log.read_text("utf-8", "replace")


@dataclass
class Bench:
    """What scenarios share: where they put things, what they start, how long they may take."""

    folder: Path
    quick: bool
    databases: Databases
    progress: Callable[[str], None]
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def environ(self, database_url: str, recall_url: str, **settings: str) -> dict[str, str]:
        """The variables of a server with default settings, but for these."""
        places = {"DATABASE_URL": database_url, "RECALL_BASE_URL": recall_url}
        return own_environ() | {"HOME": str(self.folder)} | places | settings

    @contextmanager
    def web(
        self, database_url: str, recall_url: str, *, host: str = "127.0.0.1", **settings: str
    ) -> Iterator[Address]:
        """The server under gunicorn, as its configuration file has it, until the end."""
        address = Address(host, free_port(host))
        environ = self.environ(database_url, recall_url, **settings)
        command = python("gunicorn", "--bind", str(address), "app:app")
        with self.running(command, environ) as process:
            wait_until(lambda: _answers(address, "/readyz"), "the server to be ready", process)
            yield address

    @contextmanager
    def worker(self, database_url: str, recall_url: str, **settings: str) -> Iterator[Process]:
        """`flask worker`, until the end. It has begun once it has said WORKER_BEGAN."""
        environ = self.environ(database_url, recall_url, **settings)
        with self.running(python("flask", "worker"), environ) as process:
            yield process

    @contextmanager
    def empty(self) -> Iterator[Address]:
        """The empty Flask application under a plain gunicorn, until the end."""
        address = Address("127.0.0.1", free_port())
        environ = own_environ() | {"HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        command = python(
            *("gunicorn", "--workers", "2", "--threads", "8", "--no-control-socket"),
            *("--bind", str(address), "bench.empty:app"),
        )
        # In another folder: gunicorn would read the project's gunicorn.conf.py.
        with self.running(command, environ, cwd=self.folder) as process:
            wait_until(lambda: _answers(address), "the empty application", process)
            yield address

    @contextmanager
    def quickstart(self, recall_url: str) -> Iterator[Address]:
        """The quickstart on Express, until the end. See `why_no_quickstart` first."""
        address = Address("127.0.0.1", free_port())
        environ = own_environ() | {"PORT": str(address.port), "RECALL_BASE_URL": recall_url}
        environ |= {"NODE_PATH": str(self._express()), "NODE_ENV": "production"}
        with self.running(["node", str(_QUICKSTART / "server.js")], environ) as process:
            wait_until(lambda: _answers(address), "the quickstart", process)
            yield address

    def why_no_quickstart(self) -> str | None:
        """Why the quickstart cannot run here, in words; None where it can."""
        if not shutil.which("node") or not shutil.which("npm"):
            return "Node is not here"
        return None if self._express().is_dir() else "npm could not install Express"

    def _express(self) -> Path:
        """The folder with Express in it, which is installed the first time."""
        modules = self.folder / "quickstart" / "node_modules"
        if not modules.parent.is_dir():
            self.progress("npm installs Express for the quickstart ...")
            modules.parent.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_QUICKSTART / name, modules.parent)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            with self.running(command, dict(os.environ), cwd=modules.parent) as process:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(3 * _PATIENCE)
                if process.returncode != 0:
                    shutil.rmtree(modules, ignore_errors=True)
        return modules

    @contextmanager
    def recall(self) -> Iterator[Recall]:
        """The lean stand-in for Recall, until the end."""
        port = free_port()
        with self.running(python("bench.recall", str(port)), own_environ()) as process:
            recall = Recall(port)
            wait_until(recall.is_up, "the stand-in for Recall", process)
            yield recall

    @contextmanager
    def running(
        self, command: Sequence[str], environ: dict[str, str], cwd: Path = ROOT
    ) -> Iterator[Process]:
        """Run a command in a process group of its own. At the end the group is killed: it may be
        waiting for an answer that never comes, and nothing of it is wanted any more."""
        log = self.folder / "logs" / f"{next(self._numbers):03d}.log"
        log.parent.mkdir(exist_ok=True)
        with ExitStack() as stack:
            out = stack.enter_context(log.open("ab"))
            with undisturbed():
                process = Process(
                    command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out,
                    stderr=out, start_new_session=True,
                )  # fmt: skip
                process.log = log
                stack.callback(_kill, process)
            yield process


@dataclass(frozen=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def python(module: str, *words: str) -> list[str]:
    """The command that runs a Python module."""
    return [sys.executable, "-m", module, *words]


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody had a moment ago."""
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def wait_until(
    true: Callable[[], bool],
    what: str,
    process: Process | None = None,
    seconds: float = _PATIENCE,
) -> None:
    """Wait for something.

    Raises:
        Trouble: it took too long, or the process that should bring it about has ended.
    """
    give_up_at = time.monotonic() + seconds
    while not true():
        if process is not None and process.poll() is not None:
            raise Trouble(f"Waited for {what}, and its process ended:\n{_end_of_log(process)}")
        if time.monotonic() > give_up_at:
            words = f":\n{_end_of_log(process)}" if process else "."
            raise Trouble(f"Waited {seconds:g} s for {what}, in vain{words}")
        time.sleep(0.02)


def _answers(address: Address, path: str | None = None) -> bool:
    """Whether it answers 200 there; where no path is given, whether it answers at all."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=2)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path or "/")
        return connection.getresponse().status == 200 or path is None
    return False


def _end_of_log(process: Process, lines: int = 30) -> str:
    return "\n".join(process.log.read_text("utf-8", "replace").splitlines()[-lines:])


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
