"""The version is shown wherever people look for it, from one source."""

from __future__ import annotations

import json
import tomllib

import pytest
from flask import Flask

from config import ROOT
from tests.dashboard import PASSWORD, browser, log_in

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_healthz_has_it(app: Flask) -> None:
    answer = app.test_client().get("/healthz")
    assert answer.json == {"status": "ok", "version": VERSION}


@pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)
def test_the_foot_of_each_page_has_it(app: Flask) -> None:
    pages = [browser(app).get("/login"), *map(log_in(app).get, ("/", "/meetings", "/nothing"))]
    for page in pages:
        foot = page.get_data(as_text=True).split("<footer")[1].split("</footer>")[0]
        assert f"zoom-rtms-recall {VERSION}" in foot


def test_the_command_prints_it(app: Flask) -> None:
    runner = app.test_cli_runner()
    assert runner.invoke(args=["version"]).output == f"zoom-rtms-recall {VERSION}\n"
    told = runner.invoke(args=["version", "--json"]).output
    assert json.loads(told) == {"version": VERSION, "error": None}
