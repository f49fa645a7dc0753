"""Takes back what Flask reads from `.env` and `.flaskenv` by itself."""

from __future__ import annotations

import os

import click
from click.core import ParameterSource
from dotenv import dotenv_values, find_dotenv
from flask.cli import ScriptInfo


def forget_what_flask_loaded() -> None:
    """Take out of the environment what Flask's command put there from the nearest `.env` and
    `.flaskenv`, from the current folder upwards. They may be another project's, and `${...}` was
    replaced in their values. The server reads the project's own `.env` alone, and so do commands.

    Flask does not say what it loaded: it is what has the value that it has in those files.
    A file that is named by `--env-file` or FLASK_ENV_FILE was asked for, and then all stays.
    """
    context = click.get_current_context(silent=True)
    script = context and context.find_object(ScriptInfo)
    if not context or not script or not script.load_dotenv_defaults:
        return
    if context.find_root().get_parameter_source("env_file") != ParameterSource.DEFAULT:
        return
    # As flask.cli.load_dotenv finds and reads them.
    files = [path for name in (".flaskenv", ".env") if (path := find_dotenv(name, usecwd=True))]
    names = {name for path in files for name in dotenv_values(path, interpolate=False)}
    found = {name: os.environ.pop(name) for name in names if name in os.environ}
    loaded: dict[str, str | None] = {}
    for path in files:
        loaded |= dotenv_values(path, encoding="utf-8")
    os.environ.update({name: text for name, text in found.items() if text != loaded[name]})
