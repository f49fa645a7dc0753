"""The commands for the database's schema, the worker, and the version."""

from __future__ import annotations

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue

import click
import structlog

from config import ConfigError
from models import SCHEMA_REVISION
from rtms import VERSION, stderr
from rtms.cli.options import Commands, NotConfigured, as_json
from rtms.cli.output import Command, answer
from rtms.cli.waiting import Waiting
from rtms.db import migrate
from rtms.services import Services, get_services

_DRAIN_SECONDS = 25.0  # a PaaS kills 30 s after SIGTERM
_POLL_EVERY = 1.0  # seconds

log = structlog.get_logger()

db = Commands("db", help="Show and migrate the database's schema.")


@db.command("upgrade", unanswered={"before": None, "revision": None})
@as_json
def db_upgrade(as_json: bool) -> None:
    """Migrate the database to this version's schema."""
    database = get_services().database
    before = database.revision()
    with Waiting("Migrating the database"):
        migrate.upgrade(database)
    after = database.revision()
    if as_json:
        answer({"before": before, "revision": after})
    else:
        click.echo(
            f"The database is already at revision {after}."
            if before == after
            else f"The database was migrated from {before or 'nothing'} to revision {after}."
        )


@db.command("current", unanswered={"revision": None, "needs": SCHEMA_REVISION, "ok": False})
@as_json
def db_current(as_json: bool) -> None:
    """Print the database's revision. Exit 1 if this version needs another one."""
    database = get_services().database
    revision, problem = database.revision(), database.unfit()
    if as_json:
        current = {"revision": revision, "needs": SCHEMA_REVISION, "ok": not problem}
        answer(current, error=problem)
    else:
        click.echo(revision or "none")
        if problem:
            click.echo(problem, err=True)
    if problem:
        raise click.exceptions.Exit(1)


@click.command("version", cls=Command)
@as_json
def version(as_json: bool) -> None:
    """Print the version of this server."""
    if as_json:
        answer({"version": VERSION})
    else:
        click.echo(f"zoom-rtms-recall {VERSION}")


@click.command("worker", cls=click.Command)
def worker() -> None:
    """Connect streams without serving the web, until SIGTERM, SIGINT or SIGHUP."""
    from rtms.doctor.key_check import check_key  # imported here: no other command needs it

    services = _services()
    if services.config.log_format == "json":
        stderr.write_json()
    signals: SimpleQueue[None] = SimpleQueue()  # unlike an Event, reentrant for signal handlers
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # by nohup
            signal.signal(number, lambda *_: signals.put(None))
    for doubtful in services.config.misspelt:
        log.warning(str(doubtful))
    unfit = services.database.unfit()
    if unfit:
        log.error(unfit)
    dispatcher = services.start_dispatcher()
    services.heartbeat.start("worker")
    log.info("worker started", threads=services.config.connect_threads)
    check_key(services.config)
    _wait_for(signals)
    log.info("worker stopping; waiting for connects in flight")
    dispatcher.drain(_DRAIN_SECONDS)
    services.heartbeat.stop()


def _services() -> Services:
    from rtms.http import proxies  # imported here: it loads requests, which is slow

    try:
        services = get_services()
        proxies.check(services.config)
    except (NotConfigured, ConfigError) as error:
        stderr.refuse_to_start(error)
    return services


def _wait_for(signals: SimpleQueue[None]) -> None:
    """Wait for a signal. Poll, because of two at once one may go to a thread that does not wake."""
    while True:
        with suppress(Empty):
            return signals.get(timeout=_POLL_EVERY)
