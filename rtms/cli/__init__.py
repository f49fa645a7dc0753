"""The `flask` commands: list and retry meetings, get recordings, run the worker.

Exit codes: 0 success; 1 not found or not possible; 2 wrong usage; 3 invalid configuration;
4 database unreachable.
"""

from __future__ import annotations

from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo

from rtms.cli.doctor import doctor
from rtms.cli.dotenv import unload_flask_dotenv
from rtms.cli.events import events
from rtms.cli.meetings import meetings
from rtms.cli.options import NotConfigured
from rtms.cli.streams import streams
from rtms.cli.system import db, version, worker
from rtms.cli.users import users

__all__ = ["NotConfigured", "init_app", "is_command_lookup", "unload_flask_dotenv"]


def init_app(app: Flask) -> None:
    """Register the commands, and the names that are available in `flask shell`."""
    for group in (meetings, streams, users, events, db):
        app.cli.add_command(group)
    for command in (worker, doctor, version):
        app.cli.add_command(command)

    @app.shell_context_processor
    def shell_names() -> dict[str, Any]:
        import sqlalchemy as sa

        import models

        services = app.extensions["rtms"]
        return {
            "session": services.database.session(),
            "select": sa.select,
            "recall": services.recall,
            **{table.class_.__name__: table.class_ for table in models.Base.registry.mappers},
        }


def is_command_lookup() -> bool:
    """Return whether Flask loads the app only to list its commands or to find one by name. A web
    server and Flask's own `run`, `shell` and `routes` need the whole app."""
    context = click.get_current_context(silent=True)
    return (
        context is not None
        and context.parent is None
        and context.find_object(ScriptInfo) is not None
    )
