"""Unloads the `.env` and `.flaskenv` that Flask loads by itself."""

from __future__ import annotations

import os

import click
from click.core import ParameterSource
from dotenv import dotenv_values, find_dotenv
from flask.cli import ScriptInfo


def unload_flask_dotenv() -> None:
    """Remove from the environment the variables that Flask's command loaded from the nearest `.env`
    and `.flaskenv`, from the current folder upwards. Those may belong to another project, and
    Flask expands `${...}` in them. The server and its commands read only the project's own `.env`.

    Flask does not say what it loaded, so a variable counts as loaded if it has the value from the
    file. With `--env-file` or FLASK_ENV_FILE everything stays: that file was asked for.
    """
    context = click.get_current_context(silent=True)
    script = context and context.find_object(ScriptInfo)
    if not context or not script or not script.load_dotenv_defaults:
        return
    if context.find_root().get_parameter_source("env_file") != ParameterSource.DEFAULT:
        return
    # Found and read in the way of flask.cli.load_dotenv.
    files = [path for name in (".flaskenv", ".env") if (path := find_dotenv(name, usecwd=True))]
    names = {name for path in files for name in dotenv_values(path, interpolate=False)}
    found = {name: os.environ.pop(name) for name in names if name in os.environ}
    loaded: dict[str, str | None] = {}
    for path in files:
        loaded |= dotenv_values(path, encoding="utf-8")
    os.environ.update({name: text for name, text in found.items() if text != loaded[name]})
