"""The commands: browse the table, mend it, get recordings, and run the dispatcher without the web.

Exit codes: 0 done; 1 not found, or not possible; 2 wrong usage; 3 configuration; 4 the database
does not answer.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask

import models
from rtms.cli.doctor import doctor
from rtms.cli.events import events
from rtms.cli.recordings import meetings  # with the commands for their recordings
from rtms.cli.system import db, worker


def init_app(app: Flask) -> None:
    """Give an app its commands, and its shell what one wants at hand."""
    for group in (meetings, events, db):
        app.cli.add_command(group)
    for command in (worker, doctor):
        app.cli.add_command(command)

    @app.shell_context_processor
    def at_hand() -> dict[str, Any]:
        its = app.extensions["rtms"]
        return {
            "session": its.database.session(),
            "select": sa.select,
            "recall": its.recall,
            **{table.class_.__name__: table.class_ for table in models.Base.registry.mappers},
        }
