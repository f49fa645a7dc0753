"""gunicorn reads this by itself: `gunicorn app:app`.

Its master must not import anything that keeps a reference to what the gevent worker replaces after
the fork, as requests does: a call of it would block all requests of the worker.
"""

import gc
import importlib
import os
import signal
import sys
import time
from functools import partial
from typing import Any

from config import Config, ConfigError
from rtms import stderr
from rtms.server import addresses, descriptors, versions
from rtms.server.trial_process import problem_with

REQUEST_SECONDS = 5.0  # for each part of a request on the wire; Zoom waits three for all of it


def _current() -> Config:
    """Read at the start; at a reload, what the handler of SIGHUP found to be right."""
    try:
        versions.require_gevent()
        return Config.current()
    except (ConfigError, versions.NotInstalled) as error:
        # Said once by the master, before there are workers to say it over and over.
        stderr.refuse_to_start(error)


_config = _current()
if _config.log_format == "json":
    stderr.write_json()

bind = addresses.binds(_config.host, _config.port)
workers = _config.web_concurrency
worker_class = "gevent"
logger_class = "rtms.server.gunicorn_log.ServerLogger"
timeout = 60  # seconds without a sign of life before a worker is replaced
graceful_timeout = 30  # seconds from SIGTERM to SIGKILL; a PaaS gives as many
control_socket_disable = True  # nobody needs it, and two servers of one user would share it
forwarder_headers = ""  # a proxy may pass on a client's SCRIPT_NAME
# Whose X-Forwarded-Proto is believed, whatever TRUSTED_PROXIES says: gunicorn's own default.
forwarded_allow_ips = addresses.with_mapped(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"))
# Seconds for a request's header, from the end of the request before. rtms.server.request_timeout
# limits its body and its answer.
keepalive = int(REQUEST_SECONDS)
_DRAIN_SECONDS = graceful_timeout - 5
_LEAVE_NOW = (signal.SIGINT, signal.SIGQUIT)
# How long a real thread that returns from the disk waits for the interpreter. Python's default of
# 5 ms would be most of a commit's time.
_SWITCH_SECONDS = 0.00005


def on_starting(server: Any) -> None:
    """Before there is any process."""
    descriptors.allow_enough()
    config = _current()  # gunicorn has set its own variables (--env) by now
    config.keep()
    if any(name.lower().endswith("_proxy") for name in os.environ):
        problem = problem_with(partial(_check_proxies, config))
        if problem:
            stderr.refuse_to_start(problem)
    _warn(server, config)


def _check_proxies(config: Config) -> None:
    from rtms.http import proxies  # here, not above: it imports requests

    proxies.check(config)


def _warn(server: Any, config: Config) -> None:
    for each in (*config.misspelt, *versions.differences()):
        server.log.warning("%s.", each)


def when_ready(server: Any) -> None:
    """Say how the server is reached. Then look at a reload's settings first: with what it cannot
    use gunicorn would end, and nobody would take deliveries."""
    local = addresses.local_url([each.getsockname() for each in server.LISTENERS])
    for line in addresses.how_to_reach(_current(), local):
        server.log.info("%s.", line)
    go_on: Any = signal.getsignal(signal.SIGHUP)

    def check_and_reload(number: int, frame: Any) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])  # one after another
        try:
            config = Config.load()
            problem = problem_with(partial(_make_app, config))
        except (ConfigError, OSError) as error:  # this machine may have no room for a process
            problem = str(error)
        if problem:
            server.log.error("SIGHUP changes nothing, the server goes on as it was. %s", problem)
        else:
            config.keep()
            _warn(server, config)
            go_on(number, frame)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])

    signal.signal(signal.SIGHUP, check_and_reload)


def _make_app(config: Config) -> object:
    from app import create_app  # here, not above: it is for the processes that serve

    return create_app(config)


def post_worker_init(worker: Any) -> None:
    """Start the dispatcher, after the fork: threads do not survive one."""
    worker.drain_by = 0.0  # the moment of `time.monotonic()` until which work in flight may last
    gc.collect()
    gc.freeze()  # what is there now stays: looking through it again and again costs a tenth
    gc.set_threshold(10_000, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)
    if "psycopg.waiting" in sys.modules:
        # The master has imported psycopg to check DATABASE_URL, so psycopg chose how to wait before
        # gevent replaced `select`. When it is loaded again, it chooses gevent's way.
        importlib.reload(sys.modules["psycopg.waiting"])
    from rtms.jobs.names import JobName
    from rtms.server.native_threads import NativeThreads, allow_lookups
    from rtms.server.request_timeout import RequestTimeLimit
    from rtms.server.side_process import SideProcess, jobs_beside
    from rtms.services import get_services

    services = get_services(worker.wsgi)
    services.database.make_call = NativeThreads().make_call
    allow_lookups(services.config.connect_threads)
    worker.wsgi.wsgi_app = RequestTimeLimit(worker.wsgi.wsgi_app, REQUEST_SECONDS)
    unfit = services.database.unfit()
    if unfit:
        worker.log.error("%s Until then every delivery is answered with 503.", unfit)
    dispatcher = None
    if services.config.dispatcher:
        dispatcher = services.start_dispatcher(frozenset(JobName) - jobs_beside(services.config))
        worker.side_process = SideProcess(services.config)
        worker.side_process.start()
    services.heartbeat.start("web")
    leave: Any = signal.getsignal(signal.SIGTERM)

    def drain_and_leave(number: int, frame: Any) -> None:
        if dispatcher:
            worker.drain_by = time.monotonic() + _DRAIN_SECONDS
            dispatcher.begin_drain()
            worker.side_process.begin_drain()
        leave(number, frame)

    leave_now: Any = signal.getsignal(signal.SIGQUIT)

    def leave_now_once(number: int, frame: Any) -> None:
        # A terminal sends SIGINT, and then the master sends SIGQUIT. Either one is enough; a second
        # would interrupt the worker while it hands back its leases.
        for each in _LEAVE_NOW:
            signal.signal(each, signal.SIG_IGN)
        worker.drain_by = 0.0
        leave_now(number, frame)

    signal.signal(signal.SIGTERM, drain_and_leave)
    for each in _LEAVE_NOW:
        signal.signal(each, leave_now_once)
    worker.log.info("Worker ready (pid: %s)", worker.pid)
    if dispatcher and worker.age == 1:  # the first of the server
        from rtms.doctor.key_check import check_key

        check_key(services.config)


def worker_exit(server: Any, worker: Any) -> None:
    """Let connects in flight finish, or hand them back, before the process ends."""
    from rtms.services import get_services

    wsgi = getattr(worker, "wsgi", None)  # a worker that failed to boot has none
    if not wsgi:
        return
    services = get_services(wsgi)
    if services.dispatcher:
        try:
            _drain(services.dispatcher, worker)
        except SystemExit:  # of a SIGQUIT: wait no longer
            _drain(services.dispatcher, worker)
    services.heartbeat.stop()


def _drain(dispatcher: Any, worker: Any) -> None:
    dispatcher.drain(max(0.0, worker.drain_by - time.monotonic()))
    worker.side_process.drain(max(0.0, worker.drain_by - time.monotonic()))
