"""The application: `create_app` wires it, `app` is for gunicorn and the `flask` command."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from config import Config, ConfigError
from rtms import cli, health, logs, migrate, webhooks
from rtms.database import Database, DatabaseUnavailable, sqlite_path
from rtms.services import Services

if TYPE_CHECKING:
    app: Flask

log = structlog.get_logger()


def create_app(config: Config | None = None) -> Flask:
    """Make the application. It starts no thread: see `gunicorn.conf.py` and `flask worker`.

    Args:
        config: the configuration; by default it is read from the environment and `.env`.

    Raises:
        ConfigError: the environment makes no configuration.
        DatabaseUnavailable: the embedded database cannot be opened.
    """
    config = config or Config.load()
    logs.configure(config)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    its = Services.from_config(config)
    its.init_app(app)
    _prepare_database(its.database, config)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_error_handler(HTTPException, _error_as_json)
    cli.init_app(app)
    for name in config.extensions:  # the user's own code, which connects to rtms.signals
        importlib.import_module(name)
    return app


def _prepare_database(database: Database, config: Config) -> None:
    """The embedded database migrates itself; PostgreSQL belongs to the release step."""
    if not database.is_sqlite:
        return
    migrate.upgrade_if_behind(database)
    database.dispose()  # gunicorn --preload forks after this
    if config.paas:
        log.warning(
            f"{config.paas} wipes this disk at each deploy, and every meeting's row with it: "
            "set DATABASE_URL to a PostgreSQL database",
            database=str(sqlite_path(database.url)),
        )


def _error_as_json(error: HTTPException) -> Response:
    answer = jsonify(error=error.description or error.name)
    answer.status_code = error.code or 500
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer


def __getattr__(name: str) -> Flask:
    """Make `app` when somebody asks for it, and not when `create_app` is imported."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made = create_app()
    except (ConfigError, DatabaseUnavailable) as error:
        print(error, file=sys.stderr)
        # What gunicorn's master takes for "do not start this worker again".
        raise SystemExit(3) from None
    globals()["app"] = made
    return made
