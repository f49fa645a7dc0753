"""Makes an address wait after wrong passwords. A try that comes too early is refused at once, so it
holds no thread."""

from __future__ import annotations

import ipaddress
import math
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models import LOGIN_FAILURES
from rtms.db.engines import insert_into

FREE_TRIES = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)
# The first number of failures after which the wait no longer grows.
_LONGEST_FROM = FREE_TRIES + math.ceil(math.log2(LONGEST_WAIT / FIRST_WAIT))
_counted = LOGIN_FAILURES.c


def wait_after(failures: int) -> timedelta:
    """Return how long an address must wait after a number of wrong passwords."""
    if failures < FREE_TRIES:
        return timedelta(0)
    if failures >= _LONGEST_FROM:
        return LONGEST_WAIT
    return FIRST_WAIT * (1 << failures - FREE_TRIES)


def address_of(remote: str | None) -> str:
    """Return the address for which failures are counted: an IPv4 address, or an IPv6 /48, because
    one customer may have all of it. Some proxies append a port to the address."""
    if not remote:
        return "local"  # a Unix socket has none
    host = remote.partition("%")[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 48), strict=False))


def remaining_wait(connection: Connection, address: str, *, now: datetime) -> timedelta:
    """Return how long an address must still wait before its next try; zero if it may try now."""
    found = connection.execute(
        sa.select(_counted.failures, _counted.last_failed_at).where(
            LOGIN_FAILURES.c.address == address
        )
    ).one_or_none()
    if found is None or not abs(found.last_failed_at - now) < FORGOTTEN_AFTER:
        return timedelta(0)
    wait: timedelta = found.last_failed_at + wait_after(found.failures) - now
    return max(wait, timedelta(0))


def count_try(connection: Connection, address: str, *, now: datetime) -> bool:
    """Count a try as a failure before its password is checked, if the address may try at all. One
    statement decides and counts, so simultaneous tries, in any number of processes, get no more
    passwords checked than successive ones would.

    Returns:
        Whether it may try.
    """
    forgotten = _is_forgotten(now)
    statement = insert_into(connection, LOGIN_FAILURES).values(
        address=address, failures=1, last_failed_at=now
    )
    counted = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[LOGIN_FAILURES.c.address],
            set_={
                "failures": sa.case((forgotten, 1), else_=_counted.failures + 1),
                "last_failed_at": now,
            },
            where=sa.or_(forgotten, *_has_waited(now)),
        ).returning(_counted.failures)
    ).scalar_one_or_none()
    if counted == 1:  # a new address: delete old ones
        connection.execute(
            LOGIN_FAILURES.delete().where(_counted.last_failed_at <= now - FORGOTTEN_AFTER)
        )
    return counted is not None


def forget(connection: Connection, address: str) -> None:
    """Delete the failures of an address, after the right password."""
    connection.execute(LOGIN_FAILURES.delete().where(LOGIN_FAILURES.c.address == address))


def _is_forgotten(now: datetime) -> sa.ColumnElement[bool]:
    """Return whether the last failure is long ago, or as far ahead because the clock was set back.
    The clocks of two machines differ by less, so neither forgets what the other counted."""
    at = _counted.last_failed_at
    return sa.or_(at <= now - FORGOTTEN_AFTER, at >= now + FORGOTTEN_AFTER)


def _has_waited(now: datetime) -> list[sa.ColumnElement[bool]]:
    """Return `wait_after` as conditions, one of which must hold."""
    at, failures = _counted.last_failed_at, _counted.failures
    growing = [
        sa.and_(failures == number, at <= now - wait_after(number))
        for number in range(FREE_TRIES, _LONGEST_FROM)
    ]
    longest = sa.and_(failures >= _LONGEST_FROM, at <= now - LONGEST_WAIT)
    return [failures < FREE_TRIES, *growing, longest]
