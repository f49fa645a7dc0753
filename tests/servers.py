"""The real server as processes of its own, started, watched, killed and ended by tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import requests

from app import _app_for_commands
from config import ROOT
from sandbox import RecallSandbox
from sandbox.ledger import Entry
from tests.databases import upgrade

PATIENCE = 30.0  # seconds, on a loaded machine


def wait_for(
    condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = PATIENCE
) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds:g} s in vain for {told}")
        time.sleep(0.02)
    return value


def creates(recall: RecallSandbox) -> list[Entry]:
    """What the stand-in was asked to connect; a server that starts asks about its key, too."""
    return [entry for entry in recall.ledger if entry.method == "POST"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A server's processes, and the way to it."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(log.parent),  # no .netrc, no settings of the user's
            **environ,
            "PORT": str(self.port),
        }
        self.log_path = log
        self.root = ROOT  # of the project
        self._processes: list[subprocess.Popen[bytes]] = []

    def extend(self, folder: Path, module: str, **settings: str) -> None:
        """Have the processes to come load a module as an extension.

        Args:
            folder: where the module is.
            module: its name.
            settings: variables that it reads.
        """
        self.environ |= {"EXTENSIONS": module, "PYTHONPATH": str(folder), **settings}

    def start(self, *, ready: bool = True, bind: bool = True) -> subprocess.Popen[bytes]:
        """Start the web server, and wait until it is ready.

        Args:
            ready: whether to wait.
            bind: whether it is told to listen on loopback only, or left to its configuration.
        """
        address = ("--bind", f"127.0.0.1:{self.port}") if bind else ()
        process = self._spawn("-m", "gunicorn", *address, "app:app")
        if ready:
            wait_for(lambda: self.get("/readyz") == 200, lambda: f"the server:\n{self.log()}")
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start `flask worker`."""
        (process,) = self.start_workers(1)
        return process

    def start_workers(self, count: int, *, ready: bool = True) -> list[subprocess.Popen[bytes]]:
        """Start `flask worker` so many times at once, and wait until they run.

        Args:
            ready: whether to wait.
        """
        started = self.log().count("worker started") + count
        processes = [self._spawn("-m", "flask", "worker") for _ in range(count)]
        if ready:
            wait_for(
                lambda: self.log().count("worker started") >= started,
                lambda: f"the workers:\n{self.log()}",
            )
        return processes

    def flask(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in this process: to start another costs half a second. The
        server's EXTENSIONS stay out of it."""
        with mock.patch.dict(os.environ, {**self.environ, "EXTENSIONS": ""}, clear=True):
            app = _app_for_commands()
            ran = app.test_cli_runner(catch_exceptions=False).invoke(args=args)
        if services := app.extensions.get("rtms"):
            services.database.dispose()
        return subprocess.CompletedProcess(args, ran.exit_code, ran.stdout, ran.stderr)

    def meetings(self) -> list[dict[str, Any]]:
        """The table, as scripts read it."""
        listed = self.flask("meetings", "list", "--json", "--limit", "100000")
        assert listed.returncode == 0, listed.stderr
        rows: list[dict[str, Any]] = json.loads(listed.stdout)
        return rows

    def get(self, path: str) -> int | None:
        """A route's status; None while nobody answers."""
        try:
            return requests.get(f"{self.url}{path}", timeout=5).status_code
        except requests.RequestException:
            return None

    def log(self) -> str:
        """Everything the processes have written."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def kill(self, *processes: subprocess.Popen[bytes]) -> None:
        """Kill these with their children, or every process at once, as a power cut would."""
        killed = processes or tuple(self._processes)
        for process in killed:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in killed:
            process.wait()
            self._processes.remove(process)

    def terminate(self, process: subprocess.Popen[bytes]) -> int:
        """Ask a process to end, and return its exit code."""
        process.terminate()
        return process.wait(timeout=PATIENCE + 10)

    def workers(self, master: subprocess.Popen[bytes]) -> list[psutil.Process]:
        return psutil.Process(master.pid).children()

    def _spawn(self, *args: str) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *args],
                cwd=self.root,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def new_web_processes(server: Server, master: subprocess.Popen[bytes], gone: set[int]) -> None:
    """Wait until the master has replaced these, and what replaces them is ready."""

    def replaced() -> bool:
        now = {each.pid for each in server.workers(master)}
        return len(now) == 2 and gone.isdisjoint(now)

    wait_for(replaced, "new web processes")
    wait_for(lambda: server.get("/readyz") == 200, "the new web processes to be ready")


@contextmanager
def a_server(environ: dict[str, str], log: Path) -> Iterator[Server]:
    """A server that is not started yet; its PostgreSQL is migrated. What it starts is killed."""
    server = Server(environ, log)
    if environ["DATABASE_URL"].startswith("postgres"):
        upgrade(environ["DATABASE_URL"])
    try:
        yield server
    finally:
        server.kill()
