"""Wrong passwords make the next try wait: refused, and not slept through, so that whoever guesses
holds up nobody."""

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
# The first number of failures after which the wait grows no more.
_LONGEST_FROM = FREE_TRIES + math.ceil(math.log2(LONGEST_WAIT / FIRST_WAIT))
_counted = LOGIN_FAILURES.c


def wait_after(failures: int) -> timedelta:
    """How long an address must wait after so many wrong passwords."""
    if failures < FREE_TRIES:
        return timedelta(0)
    if failures >= _LONGEST_FROM:
        return LONGEST_WAIT
    return FIRST_WAIT * (1 << failures - FREE_TRIES)


def address_of(remote: str | None) -> str:
    """Whose failures are counted together: an IPv4 address, or an IPv6 network of /48, of which one
    customer may be given all. Some proxies write a port behind the address."""
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


def must_wait(connection: Connection, address: str, *, now: datetime) -> timedelta:
    """How long an address has still to wait before it may try; nothing where it may."""
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
    """Count a try as a failure before its password is looked at, where the address may try at all:
    one statement decides and counts, so that of any number of tries at the same moment, in any
    number of processes, no more get through than one after another would.

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
    if counted == 1:  # somebody new: a good moment to forget others
        connection.execute(
            LOGIN_FAILURES.delete().where(_counted.last_failed_at <= now - FORGOTTEN_AFTER)
        )
    return counted is not None


def forget(connection: Connection, address: str) -> None:
    """The password was right: what was counted for the address counts no more."""
    connection.execute(LOGIN_FAILURES.delete().where(LOGIN_FAILURES.c.address == address))


def _is_forgotten(now: datetime) -> sa.ColumnElement[bool]:
    """It was long ago, or is as far ahead: the clock was set back. Two machines' clocks differ by
    less, and neither must forget what the other has counted."""
    at = _counted.last_failed_at
    return sa.or_(at <= now - FORGOTTEN_AFTER, at >= now + FORGOTTEN_AFTER)


def _has_waited(now: datetime) -> list[sa.ColumnElement[bool]]:
    """`wait_after` as conditions of which one holds."""
    at, failures = _counted.last_failed_at, _counted.failures
    growing = [
        sa.and_(failures == number, at <= now - wait_after(number))
        for number in range(FREE_TRIES, _LONGEST_FROM)
    ]
    longest = sa.and_(failures >= _LONGEST_FROM, at <= now - LONGEST_WAIT)
    return [failures < FREE_TRIES, *growing, longest]
