"""Parse DATABASE_URL: an SQLite file or a PostgreSQL server, with options that its driver knows. An
option that the driver does not know would look like an unreachable database.

No message here contains a value of the URL, which may be part of its password.
"""

from __future__ import annotations

import ipaddress
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_POSTGRESQL = ("postgres", "postgresql", "postgresql+psycopg")
_AUTHORITY = re.compile(r"(?P<user>[^:/]*(?::[^@]*)?@)?(?P<hosts>[^/?]*)(?P<rest>.*)", re.DOTALL)
_PORT = re.compile(r"(?P<host>.*?)(?::(?P<port>[^:\]]*))?")
_NOWHERE = "/nonexistent/rtms"  # a folder for sockets: checking options must not connect
_HOST_OPTIONS = ("host", "hostaddr", "port")
# The options of sqlite3.connect that are compatible with our threads, transactions and times.
_SQLITE_OPTIONS = ("timeout", "cached_statements")
# libpq parses these as numbers only when it connects over a network.
_NUMBERS = (
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout",
)  # fmt: skip
# Values that libpq accepts and this server cannot use: by option, which values, and why.
_UNUSABLE = {
    "client_encoding": (
        re.compile(r"(?!utf-?8$|unicode$)(.*)", re.IGNORECASE),
        "which must be utf8: meetings have names in any script",
    ),
    "target_session_attrs": (
        re.compile(r"read-only|standby|prefer-standby"),
        "which must not select a server that cannot write: use read-write or primary",
    ),
    "replication": (
        re.compile(r"(?!0$|off$|no$|false$).+", re.IGNORECASE),
        "with which no query is possible: remove it",
    ),
}
_SSLMODES = (
    "disable, allow, prefer, require (which checks no certificate), verify-ca or verify-full"
)


def parse(text: str, folder: Path) -> URL:
    """Parse a DATABASE_URL.

    Args:
        text: the variable's value.
        folder: what an SQLite file's relative path is relative to.

    Raises:
        ValueError: it is invalid; the message continues a sentence that begins with its name.
    """
    if not text.isprintable():
        raise ValueError("contains a character that cannot be printed; paste it again")
    scheme, found, rest = text.partition("://")
    if found and scheme == "sqlite":
        return _sqlite(text, folder)
    if found and scheme in _POSTGRESQL:
        return _postgresql(rest)
    raise ValueError("must begin with sqlite:///, postgres:// or postgresql://")


def _sqlite(text: str, folder: Path) -> URL:
    url = make_url(text)
    path = url.database or ""
    if not path or url.host or path.startswith("file:") or ":memory:" in path:
        raise ValueError(
            "must name an SQLite file (sqlite:////absolute/path.sqlite3): "
            "processes share it, and what is acknowledged must be on disk"
        )
    for name, value in url.query.items():
        if name not in _SQLITE_OPTIONS or not _sqlite_takes(url.set(query={name: value})):
            raise ValueError(f"has {_option(name)} that SQLite's driver does not know: remove it")
    return url.set(database=str(folder / path))


def _sqlite_takes(url: URL) -> bool:
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        sqlite3.connect(":memory:", **options).close()
    except (ArgumentError, TypeError, ValueError, sqlite3.Error):
        return False
    return True


def _postgresql(rest: str) -> URL:
    parts = _AUTHORITY.fullmatch(rest)
    assert parts  # it matches any text
    user, hosts, rest = parts["user"] or "", parts["hosts"], parts["rest"]
    if "@" in hosts:
        raise ValueError("has an @ in its password: write it as %40")
    places = _hosts(hosts)
    url = make_url(f"postgresql+psycopg://{user}{rest}")
    if len(places) > 1:
        url = url.update_query_dict(_as_options(places))
    else:
        ((host, port),) = places
        url = url.set(host=host or None, port=int(port) if port else None)
    if url.query.get("ssl") == "true":  # libpq: JDBC's spelling
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": "require"})
    problem = _problem(url)
    if problem and "@" in rest.partition("?")[2]:  # the "option" may be part of a password
        raise ValueError("has an @ in its password, or after its ?: write it as %40")
    if problem:
        raise ValueError(problem)
    return url


def _hosts(text: str) -> list[tuple[str, str]]:
    """Return the hosts with their ports. libpq tries them one after another."""
    found = []
    for each in text.split(","):
        if each.count(":") > 1 and not each.startswith("["):
            raise ValueError("has an IPv6 address without [ ] around it, as in [::1]:5432")
        parts = _PORT.fullmatch(each)
        host, port = (parts["host"], parts["port"] or "") if parts else (each, "")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("has a port that is not a number from 1 to 65535")
        found.append((unquote(host.removeprefix("[").removesuffix("]")), port))
    return found


def _as_options(hosts: list[tuple[str, str]]) -> dict[str, str]:
    """Return several hosts in SQLAlchemy's form."""
    options = {"host": ",".join(host for host, _ in hosts)}
    if any(port for _, port in hosts):
        options["port"] = ",".join(port or "5432" for _, port in hosts)
    return options


def _problem(url: URL) -> str | None:
    """Return what is wrong with the options according to libpq; None where nothing is."""
    # Imported here because SQLite does not need it.
    from psycopg import pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for name, value in url.query.items():
        if name not in known:
            return f"has {_option(name)} that PostgreSQL does not know: remove it"
        if isinstance(value, tuple) and name != "host":
            return f"has {_option(name)} more than once"
        if name in _NUMBERS and not re.fullmatch(r"-?\d{1,9}", str(value)):
            return f"has {_option(name)}, which must be a whole number"
        if name == "hostaddr" and not all(map(_is_address, str(value).split(","))):
            return f"has {_option(name)}, which must be an IP address"
        if name in _UNUSABLE and (unusable := _UNUSABLE[name])[0].fullmatch(str(value)):
            return f"has {_option(name)}, {unusable[1]}"
    try:
        _, options = url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        return "has hosts and ports that cannot be parsed"
    refusal = _refusal(dict(options))
    if refusal is None:
        return None
    refused = [name for name in url.query if name not in _HOST_OPTIONS and _refusal_of(name, url)]
    if not refused or _refusal({}):
        return f"has options that PostgreSQL refuses: {refusal}"
    choices = f": use {_SSLMODES}" if refused[0] == "sslmode" else ""
    return f"has {_option(refused[0])} with a value that PostgreSQL does not accept{choices}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text or "::")  # libpq looks the host up if it is empty
    except ValueError:
        return False
    return True


def _refusal_of(name: str, url: URL) -> str | None:
    return _refusal({name: url.query[name]})


def _refusal(options: dict[str, Any]) -> str | None:
    """Return why libpq refuses options before it connects; None where it would connect."""
    from psycopg import ProgrammingError, pq
    from psycopg.conninfo import make_conninfo

    hosts = str(options.get("host", "")).count(",") + 1
    elsewhere = {"host": ",".join([_NOWHERE] * hosts), "hostaddr": "", "password": ""}
    try:
        conninfo = make_conninfo("", **options | elsewhere)
    except ProgrammingError:  # its message may quote a value
        return "they are not a valid connection string"
    connection = pq.PGconn.connect_start(conninfo.encode())
    error = connection.error_message.decode(errors="replace")
    connection.finish()
    return None if _NOWHERE in error else " ".join(error.split()).rstrip(".")


def _option(name: str) -> str:
    return f"the option {name}" if re.fullmatch(r"\w{1,40}", name) else "an option"
