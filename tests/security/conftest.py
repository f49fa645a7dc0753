"""One application a module: nothing that these tests send may leave anything in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from flask import Flask

from app import create_app
from config import Config
from rtms.services import get_services
from tests.conftest import ENVIRON
from tests.integration.conftest import Rows

RECALL_KEY = base64.b64encode(b"recall-webhook-secret-of-the-tests").decode()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    file = tmp_path_factory.mktemp("app") / "rtms.sqlite3"
    secret = {"RECALL_WEBHOOK_SECRET": f"whsec_{RECALL_KEY}"}
    made = create_app(
        Config.from_environ({**ENVIRON, **secret, "DATABASE_URL": f"sqlite:///{file}"})
    )
    yield made
    get_services(made).recall.close()
    get_services(made).database.dispose()


@pytest.fixture
def rows(app: Flask) -> Rows:
    return Rows(get_services(app).database)


@pytest.fixture
def nothing_comes_of_it(rows: Rows) -> Iterator[None]:
    """What was sent has left nothing, when the test is over."""
    before = rows.meetings(), rows.events()
    yield
    assert (rows.meetings(), rows.events()) == before
