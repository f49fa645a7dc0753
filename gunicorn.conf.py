"""gunicorn reads this by itself: `gunicorn app:app`."""

import gc
import signal
import sys
import time
from typing import Any

from config import Config, ConfigError

try:
    _config = Config.load()
except ConfigError as error:
    # Said once by the master, before there are workers to say it over and over.
    sys.exit(str(error))

bind = f"0.0.0.0:{_config.port}"
workers = _config.web_concurrency
worker_class = "rtms.together.TogetherWorker"
threads = 32
timeout = 60  # seconds without a sign of life before a worker is replaced
graceful_timeout = 30  # seconds from SIGTERM to SIGKILL; a PaaS gives as many
control_socket_disable = True  # nobody needs it, and two servers of one user would share it
keepalive = 15  # seconds; Zoom and proxies reuse connections
_DRAIN_SECONDS = graceful_timeout - 5


def post_worker_init(worker: Any) -> None:
    """Start the dispatcher, after the fork: threads do not survive one."""
    gc.collect()
    gc.freeze()  # what is there now stays: looking through it again and again costs a tenth
    gc.set_threshold(10_000, 20, 50)
    from rtms.services import services

    its = services(worker.wsgi)
    unfit = its.database.unfit()
    if unfit:
        worker.log.error("%s Until then every delivery is answered with 503.", unfit)
    if not its.config.dispatcher:
        its.heartbeat.start("web")
        return
    dispatcher = its.start_dispatcher()
    its.heartbeat.start("web")
    leave = signal.getsignal(signal.SIGTERM)

    def drain_and_leave(number: int, frame: Any) -> None:
        worker.drain_by = time.monotonic() + _DRAIN_SECONDS
        dispatcher.begin_drain()
        if callable(leave):
            leave(number, frame)

    signal.signal(signal.SIGTERM, drain_and_leave)
    signal.siginterrupt(signal.SIGTERM, False)


def worker_exit(server: Any, worker: Any) -> None:
    """Let connects in flight finish, or hand them back, before the process ends."""
    from rtms.services import services

    wsgi = getattr(worker, "wsgi", None)  # a worker that failed to boot has none
    if not wsgi:
        return
    its = services(wsgi)
    if its.dispatcher:
        its.dispatcher.drain(max(0.0, getattr(worker, "drain_by", 0.0) - time.monotonic()))
    its.heartbeat.stop()
