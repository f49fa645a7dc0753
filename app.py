"""The application: `create_app` wires it, `app` is for gunicorn and the `flask` command."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from config import Config, ConfigError
from rtms import cli, dashboard, health, logs, metrics, migrate, webhooks
from rtms.database import Database, DatabaseUnavailable, naming_the_file, sqlite_path
from rtms.services import Services

if TYPE_CHECKING:
    app: Flask

log = structlog.get_logger()


def create_app(config: Config | None = None) -> Flask:
    """Make the application. It starts no thread: see `gunicorn.conf.py` and `flask worker`.

    Args:
        config: the configuration; by default the current one of the process (`Config.current`).

    Raises:
        ConfigError: the environment makes no configuration.
        DatabaseUnavailable: the embedded database cannot be opened.
    """
    config = config or Config.current()
    logs.configure(config)
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # a path that is not ours is not ours in other words, too
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    its = Services.from_config(config)
    its.init_app(app)
    _prepare_database(its.database, config)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(dashboard.blueprint)
    if config.trusted_proxies:  # whom a request is from is what the last of them says
        proxied = ProxyFix(
            app.wsgi_app,
            x_for=config.trusted_proxies,
            x_proto=1,  # most write it anew, and do not add to it
        )
        app.wsgi_app = proxied  # type: ignore[method-assign]
    app.register_error_handler(HTTPException, _error_as_json)
    cli.init_app(app)
    for name in config.extensions:  # the user's own code, which connects to rtms.signals
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError([f"EXTENSIONS: {name} cannot be imported: {error}."]) from error
    return app


def _prepare_database(database: Database, config: Config) -> None:
    """The embedded database migrates itself; PostgreSQL belongs to the release step."""
    if not database.is_sqlite:
        return
    with naming_the_file(database.url):
        migrate.upgrade_if_behind(database)
    database.dispose()  # gunicorn --preload forks after this
    if config.paas:
        log.warning(
            f"{config.paas} wipes its disks at each deploy, and every meeting's row with them: "
            "set DATABASE_URL to a PostgreSQL database, or put the file on a persistent volume",
            database=str(sqlite_path(database.url)),
        )


def _error_as_json(error: HTTPException) -> Response:
    description = error.description or error.name
    if error.code == 413:
        description = f"The body is larger than {current_app.config['MAX_CONTENT_LENGTH']} bytes."
    if request.method == "POST":  # a wrong path in Zoom's or Recall's settings, for one
        log.warning("request refused", status=error.code, path=repr(request.path[:100]))
    answer = jsonify(error=description)
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
