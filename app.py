"""The application: `create_app` creates it; gunicorn and the `flask` command use `app`."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from config import Config, ConfigError
from rtms import cli, logs, stderr
from rtms.db import migrate
from rtms.db.database import Database
from rtms.db.engines import naming_the_file, sqlite_path
from rtms.db.errors import DatabaseUnavailable
from rtms.services import Services, get_services, make_later

if TYPE_CHECKING:
    app: Flask

log = structlog.get_logger()


def create_app(config: Config | None = None) -> Flask:
    """Create the application. It starts no thread: see `gunicorn.conf.py` and `flask worker`.

    Args:
        config: the configuration; by default the process's current one (`Config.current`).

    Raises:
        ConfigError: the environment is not a valid configuration.
        DatabaseUnavailable: the embedded database cannot be opened.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # //zoom-webhook is an unknown path, not a redirect
    _wire(app, config)
    _add_routes(app)
    cli.init_app(app)
    return app


def _app_for_commands() -> Flask:
    """Create the application for commands: without routes, and configured by the first command that
    needs its services. Listing commands and showing their help needs neither."""
    app = Flask(__name__, static_folder=None)
    cli.init_app(app)
    make_later(app, partial(_wire_for_commands, app))
    return app


def _wire_for_commands(app: Flask) -> None:
    try:
        _wire(app)
    except (ConfigError, DatabaseUnavailable) as error:
        raise cli.NotConfigured(str(error)) from None


def _wire(app: Flask, config: Config | None = None) -> None:
    """Give an app its services, and import the user's own code, which connects to the signals."""
    if config is None:
        cli.unload_flask_dotenv()
        config = Config.current()
    logs.configure(config)
    services = Services.from_config(config)
    services.init_app(app)
    _prepare_database(services.database, config)
    for name in config.extensions:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError([f"EXTENSIONS: {name} cannot be imported: {error}."]) from error
        except Exception as error:
            log.exception("an error in a module of EXTENSIONS", module=name)
            problem = f"EXTENSIONS: {name} fails while it is imported: {error!r}."
            raise ConfigError([problem]) from error


def _add_routes(app: Flask) -> None:
    # Imported here because no command needs them.
    from werkzeug.middleware.proxy_fix import ProxyFix

    from rtms import dashboard
    from rtms.web import health, installation, metrics, webhooks
    from rtms.web.path_prefix import Front

    services = get_services(app)
    services.make_all()
    app.config["MAX_CONTENT_LENGTH"] = services.config.max_body_bytes
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(installation.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(dashboard.blueprint)
    _refuse_a_path_of_ours(app, services.config.path)
    app.wsgi_app = Front(app.wsgi_app, services.config.path)  # type: ignore[method-assign]
    if services.config.trusted_proxies:  # trust X-Forwarded-For from the last proxies
        proxied = ProxyFix(
            app.wsgi_app,
            x_for=services.config.trusted_proxies,
            x_proto=1,  # most proxies overwrite it instead of appending to it
        )
        app.wsgi_app = proxied  # type: ignore[method-assign]
    app.register_error_handler(HTTPException, _error_as_json)


def _refuse_a_path_of_ours(app: Flask, path: str) -> None:
    """Refuse a PUBLIC_URL such as https://host/meetings: behind a proxy that removes the path,
    /meetings would be ambiguous."""
    first = path.split("/")[1:2]
    if first and any(rule.rule.split("/")[1:2] == first for rule in app.url_map.iter_rules()):
        raise ConfigError(
            [f"PUBLIC_URL must not have /{first[0]} as its path: the server has a page there."]
        )


def _prepare_database(database: Database, config: Config) -> None:
    """Migrate an SQLite database. PostgreSQL is migrated by the release step."""
    if not database.is_sqlite:
        return
    with naming_the_file(database.url):
        migrate.upgrade_if_behind(database)
    database.dispose()  # gunicorn --preload forks after this
    if config.paas:
        log.warning(
            f"{config.paas} wipes its disks at each deploy, including every meeting's row: set "
            "DATABASE_URL to a PostgreSQL database, or put the file on a persistent volume",
            database=str(sqlite_path(database.url)),
        )


def _error_as_json(error: HTTPException) -> Response:
    description = error.description or error.name
    if error.code == 413:
        description = f"The body is larger than {current_app.config['MAX_CONTENT_LENGTH']} bytes."
    if request.method == "POST":  # a wrong path in Zoom's or Recall's settings, for one
        log.warning("request refused", status=error.code, path=repr(request.path[:100]))
    from rtms.dashboard.errors import unknown_path  # already loaded with the routes

    page = unknown_path(error)
    if page is not None:
        return page
    answer = jsonify(error=description)
    answer.status_code = error.code or 500
    answer.vary.add("Accept")
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer


def __getattr__(name: str) -> Flask:
    """Create `app` when it is first accessed, and not when `create_app` is imported."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made = _app_for_commands() if cli.is_command_lookup() else create_app()
    except (ConfigError, DatabaseUnavailable) as error:
        stderr.refuse_to_start(error)
    globals()["app"] = made
    return made
