"""The documentation says what the program does: its tables are held to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from app import create_app
from config import ROOT, Config, ConfigError, variables
from models import CONNECTS
from rtms import VERSION, cli
from rtms.dashboard.blueprint import WRONG_METHOD
from rtms.services import get_services
from rtms.states import EXPLANATIONS
from tests.conftest import ENVIRON

REQUIRED = ("ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET", "RECALL_API_KEY")
HELD = {name: ENVIRON[name] for name in REQUIRED}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, row by row, without their heads."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for before, line in zip(["", *lines], lines, strict=False)
        if not line.startswith("|---") and before
    ]


SETTINGS = [row for row in rows(page("CONFIGURATION.md")) if re.fullmatch("`[A-Z0-9_]+`", row[0])]
DEFAULTS = {
    name.strip("`"): default.split("`")[1] for name, default, _ in SETTINGS if "`" in default
}
RANGES = {
    name.strip("`"): found.groups()
    for name, _, meaning in SETTINGS
    if (found := re.search(r" ([\d.]+) to ([\d.]+)\.$", meaning))
}


def test_every_setting_has_a_line_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?([A-Z0-9_]+)=", example, re.MULTILINE)) == variables()


def test_every_setting_has_a_row() -> None:
    assert sorted(row[0].strip("`") for row in SETTINGS) == sorted(variables())
    required = {name.strip("`") for name, default, _ in SETTINGS if default == "required"}
    assert required == set(REQUIRED)


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_a_default_is_the_one_that_is_documented(name: str, default: str) -> None:
    assert Config.from_environ({**HELD, name: default}) == Config.from_environ(HELD)


@pytest.mark.parametrize(("name", "limits"), RANGES.items())
def test_a_range_is_the_one_that_is_documented(name: str, limits: tuple[str, str]) -> None:
    for limit, beyond in zip(limits, (-1, 1), strict=True):
        Config.from_environ({**HELD, name: limit})
        with pytest.raises(ConfigError):
            Config.from_environ({**HELD, name: f"{float(limit) + beyond:g}"})


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """The commands of a group and of those in it, by what is typed after `flask`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        elif command is not None:
            yield path + name, command


APP = Flask("commands")
cli.init_app(APP)
COMMANDS = dict(commands(APP.cli))


def test_every_command_has_a_row() -> None:
    documented = re.findall(r"^\| `flask (\w+(?: [a-z]+)?)", page("COMMANDS.md"), re.MULTILINE)
    assert sorted(documented) == sorted([*COMMANDS, "shell"])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_options_are_in_its_row(name: str) -> None:
    (row,) = (row for row in rows(page("COMMANDS.md")) if row[0].startswith(f"`flask {name}"))
    options = [each for each in COMMANDS[name].params if isinstance(each, click.Option)]
    named = {option.opts[0] for option in options}
    assert set(re.findall(r"--[a-z-]+", " ".join(row))) == named - {"--json"}
    assert ("--json" in named) == (name != "worker")


def test_every_command_that_is_named_anywhere_is_there() -> None:
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    for path, text in texts():
        for words in re.findall(r"(?:`|^ *)flask ([a-z]+(?: [a-z]+)?)\b", text, re.MULTILINE):
            first = words.split()[0]
            known = (
                words in (*COMMANDS, *groups)
                if first in groups
                else first in (*COMMANDS, "run", "shell")
            )
            assert known, (path, words)


def test_every_route_has_a_row(tmp_path: Path) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/rtms.sqlite3"}
    config = Config.from_environ({**HELD, **database, "ADMIN_PASSWORD": "a password"})
    app = create_app(config)
    get_services(app).database.dispose()
    routes = {
        f"{method} {re.sub('<[^<>]*:', '<', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.endswith(WRONG_METHOD)
    }
    documented = re.findall(r"`((?:GET|POST) /[^`]*)`", page("HTTP.md"))
    assert sorted(documented) == sorted(routes)


def test_every_state_and_reason_has_a_row_that_explains_it_as_the_program_does() -> None:
    table = rows(page("STATES.md").split("## Columns")[0].replace("`", ""))
    explained = {state.split(": ")[-1]: (what, todo) for state, what, todo in table}
    assert set(explained) == set(EXPLANATIONS)
    for state, (what, todo) in explained.items():
        assert what.startswith(EXPLANATIONS[state].what.replace("`", "")), state
        assert todo.startswith(EXPLANATIONS[state].todo.replace("`", "")), state


def test_every_column_that_is_explained_is_there() -> None:
    section = page("STATES.md").split("## Columns")[1].split("\n## ")[0]
    explained = [name for row in rows(section) for name in re.findall("`([a-z_]+)`", row[0])]
    assert len(explained) > 10
    assert set(explained) <= set(CONNECTS.c.keys())


def test_what_is_named_in_docs_by_a_text_is_there() -> None:
    named = 0
    for path, text in texts():
        for name, anchor in re.findall(r"\bdocs/(\w+\.md)(?:#([\w-]+))?", text):
            named += 1
            headings = {_anchor(line) for line in page(name).splitlines() if line.startswith("#")}
            assert not anchor or anchor in headings, (path, name, anchor)
    assert named > 20


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest == VERSION


def test_architecture_names_every_package_and_only_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    places = {
        f"rtms/{path.name}" + ("/" if path.is_dir() else "")
        for path in (ROOT / "rtms").iterdir()
        if not path.name.startswith("__")
    }
    named = set(re.findall(r"`((?:rtms|docs|tests|sandbox)/[\w/.]*)`", text))
    assert places - named == set()
    assert {name for name in named if not (ROOT / name).exists()} == set()


def texts() -> Iterator[tuple[Path, str]]:
    """What people read: the pages, the messages in the code, the files for deploying."""
    kinds = {".md", ".py", ".yml", ".yaml", ".toml", ".html", ".service", ".example"}
    for pattern in ("*", "docs/*", "deploy/*", ".github/**/*", "rtms/**/*", "sandbox/**/*"):
        for path in ROOT.glob(pattern):
            if path.suffix in kinds or path.name in ("Procfile", "Dockerfile"):
                yield path, path.read_text()


def _anchor(heading: str) -> str:
    words = heading.lstrip("# ").lower().replace("`", "")
    return re.sub(r"[^\w -]", "", words).replace(" ", "-")
