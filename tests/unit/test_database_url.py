"""DATABASE_URL: what platforms show for copying is taken, or refused with the true reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtms.configuration.database_url import parse

FOLDER = Path("/project")
PASSWORD = "hunter2-hunter2"

# What follows postgres://user:PASSWORD@, and what the driver is given beside user and password.
TAKEN = [
    ("db/d", {"host": "db", "dbname": "d"}),
    ("db:6000/d", {"host": "db", "port": 6000, "dbname": "d"}),
    ("db:/d", {"host": "db", "dbname": "d"}),
    ("[::1]:6000/d", {"host": "::1", "port": 6000, "dbname": "d"}),
    ("%2Fvar%2Frun/d", {"host": "/var/run", "dbname": "d"}),
    ("/d?host=/var/run/postgresql", {"host": "/var/run/postgresql", "dbname": "d"}),
    ("one:6000,two,[::1]:7000/d", {"host": "one,two,::1", "port": "6000,5432,7000", "dbname": "d"}),
    ("one,two/d?target_session_attrs=read-write",
     {"host": "one,two", "port": ",", "dbname": "d", "target_session_attrs": "read-write"}),
    ("/d?host=one:6000&host=two:7000", {"host": "one,two", "port": "6000,7000", "dbname": "d"}),
    ("db/d?sslmode=require&channel_binding=require",
     {"host": "db", "dbname": "d", "sslmode": "require", "channel_binding": "require"}),
    ("db/d?client_encoding=UTF-8", {"host": "db", "dbname": "d", "client_encoding": "UTF-8"}),
    ("db/d?ssl=true", {"host": "db", "dbname": "d", "sslmode": "require"}),
    ("db/d?connect_timeout=5&application_name=my%20rtms",
     {"host": "db", "dbname": "d", "connect_timeout": "5", "application_name": "my rtms"}),
    ("db/d?options=-csearch_path%3Drtms",
     {"host": "db", "dbname": "d", "options": "-csearch_path=rtms"}),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "options"), TAKEN)
def test_the_driver_is_given_what_is_written(rest: str, options: dict[str, object]) -> None:
    url = parse(f"postgres://user:{PASSWORD}@{rest}", FOLDER)
    _, given = url.get_dialect()().create_connect_args(url)
    assert given == {"user": "user", "password": PASSWORD, **options}


REFUSED = [
    ("db/d?pgbouncer=true", "has the option pgbouncer that PostgreSQL does not know"),
    ("db/d?sslmode=require&schema=public", "has the option schema that PostgreSQL does not know"),
    ("db/d?connection_limit=1", "has the option connection_limit"),
    ("db/d?prepare_threshold=0", "has the option prepare_threshold"),
    ("db/d?sslmode=no-verify", "has the option sslmode with a value"),
    ("db/d?sslmode=no-verify", "use disable, allow, prefer, require"),
    ("one,two/d?target_session_attrs=primary-only", "has the option target_session_attrs with a"),
    ("db/d?channel_binding=on&sslmode=require", "has the option channel_binding with a value"),
    ("db/d?keepalives=on", "has the option keepalives, which must be a whole number"),
    ("db/d?sslmode=require&sslmode=prefer", "has the option sslmode more than once"),
    ("db/d?sslrootcert=system&sslmode=require", 'weak sslmode "require"'),
    ("db/d?service=no-such-service", "has the option service with a value"),
    ("db:port/d", "has a port that is not a number"),
    ("db/d?client_encoding=latin1", "has the option client_encoding, which must be utf8"),
    ("db/d?target_session_attrs=read-only", "which must not select a server that cannot write"),
    ("db/d?target_session_attrs=standby", "which must not select a server that cannot write"),
    ("one,two/d?target_session_attrs=prefer-standby", "must not select a server that cannot"),
    ("db/d?replication=database", "has the option replication, with which no query is possible"),
    ("::1/d", "has an IPv6 address without [ ] around it"),
    ("2001:db8::7:5432/d", "has an IPv6 address without [ ] around it"),
    ("one,fe80::1/d", "has an IPv6 address without [ ] around it"),
    ("db/d?hostaddr=db.internal", "has the option hostaddr, which must be an IP address"),
    ("db:99999/d", "has a port that is not a number"),
    ("one:1,two:2000000/d", "has a port that is not a number"),
    ("/d?host=one,two&port=1,2,3", "has hosts and ports that cannot be parsed"),
    ("db/d?port=none", "has hosts and ports that cannot be parsed"),
    ("db/d?%20=x", "has an option that PostgreSQL does not know"),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "words"), REFUSED)
def test_an_option_that_cannot_be_is_named(rest: str, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(f"postgres://user:{PASSWORD}@{rest}", FOLDER)
    assert words in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgres://u:one@two@db/d", "postgres://u:one@two?three=four@db/d"]
)
def test_an_at_in_a_password_is_not_taken_for_something_else(url: str) -> None:
    with pytest.raises(ValueError, match="has an @ in its password") as refused:
        parse(url, FOLDER)
    assert not {"one", "two", "three", "four"} & set(str(refused.value).split())


def test_variables_of_postgresql_do_not_blame_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "nonsense")
    with pytest.raises(ValueError, match="has options that PostgreSQL refuses: invalid sslmode"):
        parse("postgres://db/d?application_name=x", FOLDER)
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")  # nobody is there
    assert parse("postgres://db/d?sslmode=require", FOLDER).host == "db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///rtms.sqlite3", "/project/rtms.sqlite3"),
        ("sqlite:///kept/rtms.sqlite3?timeout=5", "/project/kept/rtms.sqlite3"),
        ("sqlite:////var/lib/rtms.sqlite3", "/var/lib/rtms.sqlite3"),
    ],
)
def test_a_relative_file_is_one_of_the_projects_folder(url: str, path: str) -> None:
    assert parse(url, FOLDER).database == path


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("/x?cache=shared", "has the option cache that SQLite"),
        ("/x?check_same_thread=true", "has the option check_same_thread that SQLite"),
        ("/x?isolation_level=EXCLUSIVE", "has the option isolation_level that SQLite"),
        ("/x?detect_types=3", "has the option detect_types that SQLite"),
        ("/x?journal_mode=off", "has the option journal_mode that SQLite"),
        ("/x?mode=memory", "has the option mode that SQLite"),
        ("/x?timeout=soon", "has the option timeout that SQLite"),
        ("/file:x?uri=true", "must name an SQLite file"),
        ("x.sqlite3", "must name an SQLite file"),
        ("host/x.sqlite3", "must name an SQLite file"),
    ],
)
def test_what_sqlite_cannot_take_is_named(rest: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(f"sqlite://{rest}", FOLDER)


@pytest.mark.parametrize(
    "url", ["postgres://db/d\t", "sqlite:////x\x00", "postgres://u:\udcff@h/d"]
)
def test_what_cannot_be_printed_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="cannot be printed"):
        parse(url, FOLDER)
