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
from rtms.services import Services, services

_DRAIN_SECONDS = 25.0  # a PaaS kills 30 s after SIGTERM
_LOOK_EVERY = 1.0  # seconds

log = structlog.get_logger()

db = Commands("db", help="The database's schema.")


@db.command("upgrade", unanswered={"before": None, "revision": None})
@as_json
def db_upgrade(as_json: bool) -> None:
    """Migrate the database to this version's schema."""
    database = services().database
    before = database.revision()
    with Waiting("Migrating the database"):
        migrate.upgrade(database)
    after = database.revision()
    if as_json:
        answer({"before": before, "revision": after})
    else:
        click.echo(
            f"The database is at revision {after} already."
            if before == after
            else f"The database was migrated from {before or 'nothing'} to revision {after}."
        )


@db.command("current", unanswered={"revision": None, "needs": SCHEMA_REVISION, "ok": False})
@as_json
def db_current(as_json: bool) -> None:
    """Print the database's revision; exit 1 where it is not the one this version needs."""
    database = services().database
    revision, problem = database.revision(), database.unfit()
    if as_json:
        stands = {"revision": revision, "needs": SCHEMA_REVISION, "ok": not problem}
        answer(stands, error=problem)
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
    from rtms.doctor.key_check import check_key  # here, not above: no other command needs it

    its = _services()
    if its.config.log_format == "json":
        stderr.write_json()
    told: SimpleQueue[None] = SimpleQueue()  # unlike an Event, a handler may use it at any time
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # by nohup
            signal.signal(number, lambda *_: told.put(None))
    for doubtful in its.config.misspelt:
        log.warning(str(doubtful))
    unfit = its.database.unfit()
    if unfit:
        log.error(unfit)
    dispatcher = its.start_dispatcher()
    its.heartbeat.start("worker")
    log.info("worker started", threads=its.config.connect_threads)
    check_key(its.config)
    _wait_for(told)
    log.info("worker stops; connects in flight finish")
    dispatcher.drain(_DRAIN_SECONDS)
    its.heartbeat.stop()


def _services() -> Services:
    from rtms.recall import proxies  # here, not above: it needs requests, as most commands do not

    try:
        its = services()
        proxies.check(its.config)
    except (NotConfigured, ConfigError) as error:
        stderr.tell_the_end(error)
        raise click.exceptions.Exit(3) from None
    return its


def _wait_for(told: SimpleQueue[None]) -> None:
    """Look now and then: of two signals at once one may go to another thread, and wake nobody."""
    while True:
        with suppress(Empty):
            return told.get(timeout=_LOOK_EVERY)
