"""The application inside this process, on a real database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner
from jinja2 import FileSystemBytecodeCache
from werkzeug.test import TestResponse

from app import create_app
from config import Config
from models import CONNECTS, EVENTS
from rtms.db.database import Database
from rtms.jobs.connect import retry_policy
from rtms.queue import dispatcher
from rtms.services import Services, get_services
from sandbox.zoom import sign, stringify


@pytest.fixture(scope="session", autouse=True)
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile a template once, and not for each application anew."""
    folder = tmp_path_factory.mktemp("templates")
    Flask.jinja_options["bytecode_cache"] = FileSystemBytecodeCache(str(folder))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for due rows more often than twice a second, and wait less for a second try."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(retry_policy, "_FIRST_WAIT", 0.05)


@pytest.fixture
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The configuration's variables; with the stand-in's address where a test asks for one."""
    if "recall" in request.fixturenames:
        environ["RECALL_BASE_URL"] = request.getfixturevalue("recall").url
    marker = request.node.get_closest_marker("environ")
    return {**environ, **(marker.kwargs if marker else {})}


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    made = create_app(config)
    yield made
    services = get_services(made)
    if services.dispatcher:
        services.dispatcher.drain(timeout=30)
    services.recall.close()
    services.database.dispose()


@pytest.fixture
def services(app: Flask) -> Services:
    """The application's parts."""
    return get_services(app)


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@dataclass
class Zoom:
    """Delivers to the application as Zoom does, signed."""

    app: Flask
    secret_token: str
    answers: list[TestResponse] = field(default_factory=list)

    def deliver(
        self,
        body: Any = None,
        *,
        raw: bytes | None = None,
        age: float = 0,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        wire = stringify(body) if raw is None else raw
        timestamp = str(int(time.time() - age))
        signed = {
            "x-zm-request-timestamp": timestamp,
            "x-zm-signature": sign(token or self.secret_token, timestamp, wire),
            "x-zm-trackingid": "tracking-1",
        }
        return self.app.test_client().post(
            "/zoom-webhook", data=wire, headers={**signed, **(headers or {})}
        )


@pytest.fixture
def zoom(app: Flask, config: Config) -> Zoom:
    return Zoom(app, config.zoom_secret_tokens[0])


class Rows:
    """What is in the table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def meetings(self) -> list[Any]:
        """Every connection, in the order in which they came."""
        return self._fetch(CONNECTS)

    def events(self) -> list[Any]:
        """Every webhook event, in the order in which they came."""
        return self._fetch(EVENTS)

    def meeting(self) -> Any:
        """The only connection."""
        (row,) = self.meetings()
        return row

    def _fetch(self, table: sa.Table) -> list[Any]:
        with self._database.read() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))


@pytest.fixture
def rows(services: Services) -> Rows:
    return Rows(services.database)


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come to hold in time"
        time.sleep(0.01)
    return value
