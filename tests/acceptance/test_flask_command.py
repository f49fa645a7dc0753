"""The `flask` command reads what the server reads, wherever it is called."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ENVIRON
from tests.databases import SqliteFiles

SCRIPT = [str(Path(sys.executable).with_name("flask"))]  # as `make` installs it
MODULE = [sys.executable, "-m", "flask"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Another project's folder, with settings that could be taken for ours."""
    folder = tmp_path / "shop" / "below"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "shop.sqlite3") as connection:
        connection.execute("CREATE TABLE orders (id)")
    return folder


def settings(folder: Path, **more: str) -> str:
    """A `.env` with the four that are needed, and a database in a folder."""
    variables = {**ENVIRON, "DATABASE_URL": f"sqlite:///{folder}/rtms.sqlite3", **more}
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def run(
    command: list[str], *args: str, cwd: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *args],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def tables(database: Path) -> set[str]:
    with sqlite3.connect(database) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize(
    ("command", "file"),
    [(SCRIPT, ".env"), (MODULE, ".flaskenv"), (MODULE, "../.env"), (SCRIPT, "../.flaskenv")],
)
def test_a_command_takes_nothing_of_another_projects_folder(
    project: Path, shop: Path, command: list[str], file: str
) -> None:
    (project / ".env").write_text(settings(project))
    (shop / file).write_text(
        f"DATABASE_URL=sqlite:///{shop}/shop.sqlite3\nLOG_LEVEL=nonsense\nFLASK_APP=shop.py\n"
    )
    told = run(command, "--app", str(project / "app.py"), "meetings", "list", "--json", cwd=shop)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == []
    assert tables(shop / "shop.sqlite3") == {"orders"}
    assert "meeting_direct_connects" in tables(project / "rtms.sqlite3")


def test_the_environment_counts_though_another_project_says_otherwise(
    project: Path, shop: Path
) -> None:
    (project / ".env").write_text(settings(project, DATABASE_URL="sqlite:////nowhere/x.sqlite3"))
    (shop / ".env").write_text(f"DATABASE_URL=sqlite:///{shop}/shop.sqlite3\n")
    url = f"sqlite:///{project}/rtms.sqlite3"
    told = run(
        MODULE, "--app", str(project / "app.py"), "db", "current", cwd=shop, DATABASE_URL=url
    )
    assert told.returncode == 0, told.stderr
    assert tables(shop / "shop.sqlite3") == {"orders"}


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_a_command_takes_values_as_they_are_written(project: Path, command: list[str]) -> None:
    name = "'ta${b}le$'"
    (project / ".env").write_text(
        settings(project, DATABASE_URL=f"sqlite:///{project}/ta${{b}}le$")
    )
    told = run(command, "db", "current", cwd=project)
    assert told.returncode == 0, told.stderr
    assert (project / name.strip("'")).exists()


def test_a_file_that_is_named_is_taken(project: Path, shop: Path) -> None:
    (shop / "other.env").write_text(settings(shop))
    told = run(
        SCRIPT,
        "--env-file",
        "other.env",
        "--app",
        str(project / "app.py"),
        "db",
        "current",
        cwd=shop,
    )
    assert told.returncode == 0, told.stderr
    assert (shop / "rtms.sqlite3").exists()


def test_a_relative_path_is_one_of_the_projects_folder(project: Path, shop: Path) -> None:
    (project / ".env").write_text(settings(project, DATABASE_URL="sqlite:///kept/rtms.sqlite3"))
    told = run(MODULE, "--app", str(project / "app.py"), "db", "current", cwd=shop)
    assert told.returncode == 0, told.stderr
    assert (project / "kept" / "rtms.sqlite3").exists()
    assert not (shop / "kept").exists()


def test_server_and_commands_refuse_a_file_in_the_same_words(project: Path) -> None:
    (project / ".env").write_bytes("ZOOM_SECRET_TOKEN=gr\xfc\xdfe\n".encode("utf-16"))
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "app:app"]
    told = [run(SCRIPT, "meetings", "list", cwd=project), run(gunicorn, cwd=project)]
    assert [each.returncode for each in told] == [3, 3]
    assert told[0].stderr == told[1].stderr
    assert f"{project}/.env is not UTF-8 text" in told[0].stderr
    assert "Traceback" not in told[0].stderr


def test_another_projects_file_that_is_not_utf_8_is_no_traceback(project: Path, shop: Path) -> None:
    (project / ".env").write_text(settings(project))
    (shop / ".env").write_bytes("ZOOM_SECRET_TOKEN=gr\xfc\xdfe\n".encode("utf-16"))
    told = run(SCRIPT, "--app", str(project / "app.py"), "meetings", "list", cwd=shop)
    assert told.returncode == 0, told.stderr


HELP = """
import json, sys
import click
from click.testing import CliRunner
from flask.cli import cli

def paths(command, *path):
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from paths(command.get_command(context, name), *path, name)

said = {}
app = ["--app", sys.argv[1]]
import app as program
for path in ((), *paths(program._app_for_commands().cli)):
    result = CliRunner().invoke(cli, [*app, *path, "--help"], catch_exceptions=True)
    said[" ".join(path)] = [result.exit_code, result.output]
print(json.dumps(said))
"""


@pytest.mark.parametrize("what", ["no configuration", "a wrong one", "no database"])
def test_help_needs_neither_configuration_nor_database(project: Path, what: str) -> None:
    environ = {"PYTHONPATH": str(project)}
    if what == "a wrong one":
        (project / ".env").write_bytes("RECALL_REGION=nonsense\n".encode("utf-16"))
        environ |= {"PORT": "nonsense", "FLASK_SKIP_DOTENV": "1"}
    if what == "no database":
        (project / ".env").write_text(settings(project, DATABASE_URL="sqlite:////proc/no/x"))
    told = run([sys.executable, "-c", HELP], str(project / "app.py"), cwd=project, **environ)
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert {
        "meetings list",
        "meetings download",
        "events replay",
        "db upgrade",
        "doctor",
        "worker",
    } <= set(said)
    for path, (code, text) in said.items():
        assert (code, "Usage:" in text) == (0, True), f"{path}: {text}"
    assert "meetings" in said[""][1]
    assert not (project / "instance").exists()


# What a command that lists rows needs nothing of, and what costs the start-up most.
HEAVY = {
    "requests", "urllib3", "alembic", "prometheus_client", "psycopg", "fsspec", "standardwebhooks",
    "boto3", "gunicorn", "rich.progress",
    "rtms.jobs.archive.job", "rtms.jobs.connect.job", "rtms.dashboard", "rtms.doctor",
    "rtms.recordings.download",
    "rtms.intake.deliveries", "rtms.web.metrics", "rtms.recall.client", "rtms.web.webhooks",
}  # fmt: skip
IMPORTED = """
import sys
from flask.cli import main
sys.argv[0] = "flask"
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args", [("--help",), ("meetings", "list"), ("meetings", "list", "--json"), ("events", "list")]
)
def test_a_command_imports_what_it_needs(
    project: Path, sqlite_files: SqliteFiles, args: tuple[str, ...]
) -> None:
    (project / ".env").write_text(settings(project))
    sqlite_files.copy(project / "rtms.sqlite3")  # to make the database, it needs more
    told = run([sys.executable, "-c", IMPORTED], *args, cwd=project)
    assert told.returncode == 0, told.stderr
    imported = set(told.stderr.split())
    assert "rtms.cli.meetings" in imported
    assert imported & HEAVY == set()


def test_the_commands_of_flask_itself_have_the_whole_app(project: Path) -> None:
    (project / ".env").write_text(settings(project))
    told = run(MODULE, "routes", cwd=project)
    assert told.returncode == 0, told.stderr
    assert "/zoom-webhook" in told.stdout


@pytest.mark.parametrize("args", [("meetings", "list"), ("doctor",), ("worker",), ("routes",)])
def test_a_wrong_configuration_is_said_in_words(project: Path, args: tuple[str, ...]) -> None:
    (project / ".env").write_text(settings(project, PORT="nonsense"))
    told = run(MODULE, *args, cwd=project)
    assert (told.returncode, told.stdout) == (3, "")
    assert told.stderr.startswith("The configuration is incomplete or invalid:\n  - PORT must")
