"""gunicorn reads this by itself: `gunicorn app:app`."""

import gc
import os
import signal
import sys
import time
from typing import Any

from config import Config, ConfigError
from rtms import stderr
from rtms.recall import proxies
from rtms.server import addresses
from rtms.server.patient_worker import ENDINGS
from rtms.server.reload_handover import Handover


def _current() -> Config:
    """Read at the start; at a reload, what the handler of SIGHUP found to be right."""
    try:
        config = Config.current()
        proxies.check(config)
        return config
    except ConfigError as error:
        # Said once by the master, before there are workers to say it over and over.
        stderr.tell_the_end(error)
        sys.exit(3)  # as a worker and every command do


_config = _current()
if _config.log_format == "json":
    stderr.write_json()

bind = addresses.binds(_config.host, _config.port)
workers = _config.web_concurrency
worker_class = "rtms.server.together_worker.TogetherWorker"
logger_class = "rtms.server.gunicorn_log.ServerLogger"
threads = 32
timeout = 60  # seconds without a sign of life before a worker is replaced
graceful_timeout = 30  # seconds from SIGTERM to SIGKILL; a PaaS gives as many
control_socket_disable = True  # nobody needs it, and two servers of one user would share it
forwarder_headers = ""  # a proxy may pass on a client's SCRIPT_NAME
# Whose X-Forwarded-Proto is believed, whatever TRUSTED_PROXIES says: gunicorn's own default.
forwarded_allow_ips = addresses.with_mapped(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"))
keepalive = 15  # seconds; Zoom and proxies reuse connections
_DRAIN_SECONDS = graceful_timeout - 5


def on_starting(server: Any) -> None:
    """Before there is any process."""
    config = _current()  # gunicorn has set its own variables (--env) by now
    config.keep()
    _warn(server, config)
    server.handover = Handover()
    os.register_at_fork(after_in_parent=_hear)


def _warn(server: Any, config: Config) -> None:
    for each in config.misspelt:
        server.log.warning("%s.", each)


def _hear() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)


def when_ready(server: Any) -> None:
    """Say how the server is reached. Then look at a reload's settings first: with what it cannot
    read gunicorn would end, and nobody would take deliveries. And let no hand-over delay the
    end."""
    local = addresses.local_url([each.getsockname() for each in server.LISTENERS])
    for line in addresses.how_to_reach(_current(), local):
        server.log.info("%s.", line)
    its: dict[int, Any] = {each: signal.getsignal(each) for each in (signal.SIGHUP, *ENDINGS)}

    asked = at_it = False

    def reload(number: int, frame: Any) -> None:
        nonlocal asked, at_it
        asked = True
        while asked and not at_it:  # else whom this handler interrupted reads once more
            asked, at_it = False, True
            try:
                config = Config.load()
                proxies.check(config)
                _try_database(config)
            except Exception as error:  # one that leaves the handler would end the server
                server.log.error("SIGHUP changes nothing, the server goes on as it was. %s", error)
            else:
                config.keep()
                _warn(server, config)
                its[number](number, frame)
            at_it = False

    def end(number: int, frame: Any) -> None:
        server.handover.call_off()
        server.handle_hup = lambda: None  # reloads that wait would come first
        its[number](number, frame)

    signal.signal(signal.SIGHUP, reload)
    for each in ENDINGS:
        signal.signal(each, end)


def _try_database(config: Config) -> None:
    """Look whether an embedded database can be opened: a process that cannot do it ends, and the
    server with it. Without PostgreSQL it answers 503 and goes on."""
    if config.database_url.get_backend_name() != "sqlite":
        return
    from rtms.db.database import Database
    from rtms.db.engines import naming_the_file

    with naming_the_file(config.database_url):
        database = Database(config.database_url)
        try:
            database.revision()
        finally:
            database.dispose()  # nothing of it may be open at a fork


def on_reload(server: Any) -> None:
    """Let the processes that there are go on until the new ones are ready."""
    server.handover.begin(server.worker_age, server.cfg.workers)


def pre_fork(server: Any, worker: Any) -> None:
    """Let the new process know who is to take over from whom, and keep what it is told for it
    until it has its own ears: those it inherits are the master's."""
    server.handover.note_forked(worker.age)
    worker.handover = server.handover
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)


def child_exit(server: Any, worker: Any) -> None:
    """Replace a new process that ended while there are old ones: gunicorn waits for those, counts
    them, and makes none."""
    if server.LISTENERS:
        ages = [each.age for each in server.WORKERS.values()]
        for _ in range(server.handover.missing(ages, wanted=server.num_workers)):
            server.spawn_worker()


def post_worker_init(worker: Any) -> None:
    """Start the dispatcher, after the fork: threads do not survive one."""
    gc.collect()
    gc.freeze()  # what is there now stays: looking through it again and again costs a tenth
    gc.set_threshold(10_000, 20, 50)
    from rtms.services import get_services

    services = get_services(worker.wsgi)
    unfit = services.database.unfit()
    if unfit:
        worker.log.error("%s Until then every delivery is answered with 503.", unfit)
    dispatcher = services.start_dispatcher() if services.config.dispatcher else None
    services.heartbeat.start("web")
    leave: Any = signal.getsignal(signal.SIGTERM)

    def drain_and_leave(number: int, frame: Any) -> None:
        if dispatcher:
            worker.drain_by = time.monotonic() + _DRAIN_SECONDS
            dispatcher.begin_drain()
        leave(number, frame)

    told_early = not worker.alive  # SIGTERM came as it started
    worker.alive = True
    worker.handover.at_sigterm(worker.age, drain_and_leave)
    worker.handover.note_ready(worker.age)
    worker.log.info("Worker ready (pid: %s)", worker.pid)
    if dispatcher and worker.age == 1:  # the first of the server
        from rtms.doctor.key_check import check_key

        check_key(services.config)
    if told_early:
        os.kill(os.getpid(), signal.SIGTERM)


def worker_exit(server: Any, worker: Any) -> None:
    """Let connects in flight finish, or hand them back, before the process ends."""
    from rtms.services import get_services

    wsgi = getattr(worker, "wsgi", None)  # a worker that failed to boot has none
    if not wsgi:
        return
    services = get_services(wsgi)
    if services.dispatcher:
        services.dispatcher.drain(max(0.0, getattr(worker, "drain_by", 0.0) - time.monotonic()))
    services.heartbeat.stop()
