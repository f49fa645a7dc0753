"""A process next to a gunicorn worker, for the jobs that need real threads.

A gevent worker runs everything in one thread. Code that may block it runs in this process instead:
the subscribers of the user's EXTENSIONS, and the uploads to ARCHIVE_URL, which write and sync
gigabytes, with drivers of fsspec that need asyncio in a thread.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from flask import Flask

from config import Config
from rtms import stderr
from rtms.jobs.names import JobName
from rtms.services import get_services

_PROGRAM = "import app, rtms.server.side_process as this; this.main(app.create_app)"
_AGAIN_SECONDS = 1.0
_DRAIN_SECONDS = 25.0

log = structlog.get_logger()


def jobs_beside(config: Config) -> frozenset[JobName]:
    """Return the jobs that run in the side process."""
    wanted = {JobName.NOTIFY: config.extensions, JobName.ARCHIVE: config.archive_url}
    return frozenset(name for name, wants in wanted.items() if wants)


class SideProcess:
    """The process. It is started again when it ends, and ends when this one does, even if killed.

    Args:
        config: the configuration of both.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving = False

    def start(self) -> None:
        """Start it if it has jobs."""
        if jobs_beside(self._config):
            threading.Thread(target=self._run_for_ever, name="side process", daemon=True).start()

    def begin_drain(self) -> None:
        """Tell it to lease nothing more. A signal handler may call this."""
        self._leaving = True
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def drain(self, timeout: float) -> None:
        """Wait for its work in flight, at most so many seconds, and end it."""
        self.begin_drain()
        if self._process:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _run_for_ever(self) -> None:
        while not self._leaving:
            try:
                self._run()
                problem = None
            except OSError as error:  # this machine may have no room for a process
                problem = str(error)
            if not self._leaving:
                log.error(
                    "the process for EXTENSIONS and ARCHIVE_URL ended; starting it again",
                    error=problem,
                )
                time.sleep(_AGAIN_SECONDS)

    def _run(self) -> None:
        command = [sys.executable, "-c", _PROGRAM]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own
        assert process.stdin
        with suppress(BrokenPipeError):  # it ended at once
            process.stdin.write(pickle.dumps(self._config))
            process.stdin.flush()
        self._process = process
        if self._leaving:
            process.stdin.close()
        process.wait()


def main(create_app: Callable[[Config], Flask]) -> None:
    """Run the jobs with the configuration that is read from stdin, until stdin ends.

    Args:
        create_app: creates the application.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal's; the worker closes stdin
        signal.signal(number, signal.SIG_IGN)
    try:
        config = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own making
    except EOFError:  # the worker ended first
        return
    if config.log_format == "json":
        stderr.write_json()
    dispatcher = get_services(create_app(config)).start_dispatcher(jobs_beside(config))
    sys.stdin.buffer.read()
    dispatcher.drain(_DRAIN_SECONDS)
