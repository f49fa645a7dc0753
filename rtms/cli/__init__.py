"""The commands: browse the table, mend it, get recordings, and run the dispatcher without the web.

Exit codes: 0 done; 1 not found, or not possible; 2 wrong usage; 3 configuration; 4 the database
does not answer.
"""

from __future__ import annotations

from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo

from rtms.cli.doctor import doctor
from rtms.cli.dotenv import forget_what_flask_loaded
from rtms.cli.events import events
from rtms.cli.meetings import meetings
from rtms.cli.options import NotConfigured
from rtms.cli.system import db, version, worker

__all__ = ["NotConfigured", "forget_what_flask_loaded", "init_app", "is_looked_up"]


def init_app(app: Flask) -> None:
    """Give an app its commands, and its shell what one wants at hand."""
    for group in (meetings, events, db):
        app.cli.add_command(group)
    for command in (worker, doctor, version):
        app.cli.add_command(command)

    @app.shell_context_processor
    def at_hand() -> dict[str, Any]:
        import sqlalchemy as sa

        import models

        its = app.extensions["rtms"]
        return {
            "session": its.database.session(),
            "select": sa.select,
            "recall": its.recall,
            **{table.class_.__name__: table.class_ for table in models.Base.registry.mappers},
        }


def is_looked_up() -> bool:
    """Whether Flask wants to know an app's commands: to list them, or to find one by its name. What
    serves the web, or Flask's own commands `run`, `shell` and `routes`, wants all of the app."""
    context = click.get_current_context(silent=True)
    return (
        context is not None
        and context.parent is None
        and context.find_object(ScriptInfo) is not None
    )
