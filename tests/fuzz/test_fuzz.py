"""A small part of what `python -m tests.fuzz` does, on both engines."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest
import sqlalchemy as sa
import structlog

from app import create_app
from config import Config
from models import CONNECTS, EVENTS
from rtms.db import migrate
from rtms.db.database import Database
from rtms.services import get_services
from tests.fuzz.__main__ import main
from tests.fuzz.inputs import Inputs
from tests.fuzz.routes import VARIABLES, Complaint, Routes, ask_server
from tests.servers import Server

INSIDE = 2000
OVER_THE_WIRE = 300


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    return {**VARIABLES, "DATABASE_URL": database_url}


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    made = Database(config.database_url)
    migrate.upgrade(made)
    yield made
    made.dispose()


def test_no_input_gives_a_5xx_or_an_exception_or_tells_a_secret(
    config: Config, database: Database
) -> None:
    log = io.StringIO()
    with redirect_stderr(log):
        app = create_app(config)
    routes, inputs = Routes(app, log), Inputs(seed=1)
    counts = Counter(routes.ask(inputs.make(number)) for number in range(INSIDE))
    get_services(app).database.dispose()
    # The inputs reach what is behind the door, too: all of its answers came.
    assert {200, 400, 401, 404, 405} <= counts.keys()
    with database.read() as connection:
        for table, fewest in ((EVENTS, 200), (CONNECTS, 20)):
            assert (connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0) > fewest


@pytest.mark.parametrize("line", [f"told={VARIABLES['ZOOM_CLIENT_SECRET']}", "a stray line"])
def test_what_the_server_logs_is_looked_at(config: Config, database: Database, line: str) -> None:
    log = io.StringIO()
    with redirect_stderr(log):
        app = create_app(config)

    @app.before_request
    def tell() -> None:
        structlog.get_logger().error(line)
        if line == "a stray line":
            log.write(f"{line}\n")

    routes, inputs = Routes(app, log), Inputs(seed=1)
    with pytest.raises(Complaint):
        routes.ask(inputs.make(0))
    get_services(app).database.dispose()


def test_no_bytes_on_the_wire_give_a_5xx_or_end_the_server(server: Server) -> None:
    master = server.start()
    before = {worker.pid for worker in server.workers(master)}
    inputs = Inputs(seed=2)
    counts = Counter(ask_server(server.port, inputs.make_wire(n)) for n in range(OVER_THE_WIRE))
    assert {200, 400, 401} <= counts.keys()
    assert server.get("/healthz") == 200
    assert {worker.pid for worker in server.workers(master)} == before
    assert "Traceback" not in server.log()


def test_an_input_is_made_again_by_its_number() -> None:
    for number in range(50):
        one, again = Inputs(seed=3).make(number), Inputs(seed=3).make(number)
        assert (one.method, one.path, one.query) == (again.method, again.path, again.query)
        assert one.body == again.body


def test_the_first_failure_is_told_with_the_way_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Routes, given: object) -> int:
        raise Complaint("answered 500")

    monkeypatch.setattr(Routes, "ask", refuse)
    assert main(["--inputs", "30", "--seed", "7"]) == 1
    told = capsys.readouterr().out
    assert "answered 500" in told
    assert "--seed 7 --only 1" in told
