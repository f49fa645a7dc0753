"""The deploy files say what the program reads and does. That their commands run is shown by
tests/acceptance/test_deploy.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import create_app
from config import ROOT, Config, variables
from rtms.doctor.connections import CONNECTIONS_A_PROCESS
from rtms.services import get_services
from tests.conftest import ENVIRON
from tests.deploy_files import (
    compose,
    dockerfile,
    in_context,
    procfile,
    unit_file,
)

_PLATFORM_VARIABLES = {"SITE_ADDRESS", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}
_PYTHON_VARIABLES = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PATH"}
_MACHINE_CONNECTIONS = 100 - 3  # PostgreSQL's max_connections, less its reserve
SECRETS = {"ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET", "RECALL_API_KEY"}


def graceful_seconds() -> int:
    found = re.search(r"^graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.M)
    assert found
    return int(found[1])


def render() -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((ROOT / "render.yaml").read_text())
    return value


def render_worker() -> dict[str, Any]:
    """The worker that is offered in a comment."""
    text = (ROOT / "render.yaml").read_text()
    lines = re.findall(r"^#(  .*)$", text, re.MULTILINE)
    ((worker,),) = (yaml.safe_load("services:\n" + "\n".join(lines))["services"],)
    found: dict[str, Any] = worker
    return found


def fly() -> dict[str, Any]:
    return tomllib.loads((ROOT / "fly.toml").read_text())


def heroku() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
    return value


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    file = tmp_path_factory.mktemp("app") / "rtms.sqlite3"
    made = create_app(Config.from_environ({**ENVIRON, "DATABASE_URL": f"sqlite:///{file}"}))
    get_services(made).database.dispose()
    return {rule.rule for rule in made.url_map.iter_rules()}


def test_every_variable_is_one_that_the_program_reads() -> None:
    named = {
        "render.yaml": {
            each["key"]
            for holder in (*render()["services"], render_worker(), *render()["envVarGroups"])
            for each in holder["envVars"]
            if "key" in each
        },
        "app.json": set(heroku()["env"]),
        "fly.toml": set(fly()["env"]),
        "compose.yaml": {
            name for each in compose()["services"].values() for name in each.get("environment", {})
        }
        | set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text())),
        "Dockerfile": {
            name
            for instruction, text in dockerfile()
            if instruction == "ENV"
            for name in re.findall(r"([A-Z_]+)=", text)
        },
    }
    allowed = variables() | _PLATFORM_VARIABLES | _PYTHON_VARIABLES
    for file, names in named.items():
        extra = {name for name in names if not name.startswith("PIP_")} - allowed
        assert extra == set(), file


def test_nothing_secret_is_written_into_a_file() -> None:
    for each in render()["services"][0]["envVars"]:
        if each.get("key") in SECRETS:
            assert each["sync"] is False
    for name in SECRETS:
        assert "value" not in heroku()["env"][name]
        assert name not in fly()["env"]
    assert all(
        not SECRETS & set(each.get("environment", {})) for each in compose()["services"].values()
    )


def test_every_file_starts_what_the_procfile_starts() -> None:
    web, worker, release = (procfile()[name] for name in ("web", "worker", "release"))
    assert render()["services"][0]["startCommand"] == web
    assert render()["services"][0]["preDeployCommand"] == release
    assert render_worker()["startCommand"] == worker
    assert fly()["deploy"]["release_command"] == release
    assert fly()["processes"]["web"] == web
    assert f'worker = "{worker}"' in (ROOT / "fly.toml").read_text()
    assert json.loads(dict(dockerfile())["CMD"]) == web.split()
    assert compose()["services"]["migrate"]["command"] == release.split()
    assert compose()["services"]["worker"]["command"] == worker.split()
    assert "command" not in compose()["services"]["web"]
    started = unit_file()["Service"]["ExecStart"]
    assert started == "/opt/rtms/.venv/bin/" + web.replace(" ", " --bind 127.0.0.1:8000 ")
    assert set(heroku()["formation"]) == set(procfile()) - {"release"}


def test_a_process_is_given_the_time_to_finish() -> None:
    wanted = graceful_seconds() + 5
    assert render()["services"][0]["maxShutdownDelaySeconds"] >= wanted
    assert render_worker()["maxShutdownDelaySeconds"] >= wanted
    assert int(fly()["kill_timeout"].removesuffix("s")) >= wanted
    for name in ("web", "worker", "migrate"):
        assert int(compose()["services"][name]["stop_grace_period"].removesuffix("s")) >= wanted
    assert int(unit_file()["Service"]["TimeoutStopSec"]) >= wanted
    assert fly()["kill_signal"] == unit_file()["Service"]["KillSignal"] == "SIGTERM"
    assert "STOPSIGNAL" not in dict(dockerfile())  # Docker's own default is SIGTERM


def test_what_is_watched_exists(routes: set[str]) -> None:
    (check,) = fly()["http_service"]["checks"]
    assert check["path"] == render()["services"][0]["healthCheckPath"] == "/readyz"
    assert {"/readyz", "/healthz", "/zoom-webhook"} <= routes
    assert "/readyz" in str(compose()["services"]["web"]["healthcheck"]["test"])
    assert "/healthz" in dict(dockerfile())["HEALTHCHECK"]


def test_no_server_sleeps() -> None:
    http = fly()["http_service"]
    assert http["min_machines_running"] >= 1
    assert http["auto_stop_machines"] == "off"
    assert http["internal_port"] == int(fly()["env"]["PORT"])
    assert set(http["processes"]) <= set(fly()["processes"])
    assert render()["services"][0]["plan"] != "free"
    assert heroku()["formation"]["web"]["size"] not in ("eco", "free")


def test_postgresql_is_attached_where_the_disk_does_not_last() -> None:
    (database,) = render()["databases"]
    for service in (render()["services"][0], render_worker()):
        (wanted,) = [each for each in service["envVars"] if each.get("key") == "DATABASE_URL"]
        assert wanted["fromDatabase"]["name"] == database["name"]
    assert "DATABASE_URL" not in heroku()["env"]  # the add-on sets it
    assert any("heroku-postgresql" in each["plan"] for each in heroku()["addons"])
    # 20 connections on this plan, and one for the release step.
    assert int(heroku()["env"]["WEB_CONCURRENCY"]["value"]) * CONNECTIONS_A_PROCESS + 1 <= 20


def test_compose_receives_twice_and_connects_twice_on_one_database() -> None:
    parts = compose()["services"]
    web, worker = parts["web"], parts["worker"]
    assert web["deploy"]["replicas"] == worker["deploy"]["replicas"] == 2
    assert web["environment"]["DISPATCHER"] == "off"  # YAML would read a bare off as false
    assert "DISPATCHER" not in worker["environment"]
    assert worker["environment"]["DATABASE_URL"] == web["environment"]["DATABASE_URL"]
    assert parts["database"]["image"] == "postgres:17"
    assert parts["migrate"]["depends_on"]["database"]["condition"] == "service_healthy"
    for part in (web, worker):
        assert part["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert part["env_file"] == ".env"
        assert "ports" not in part  # two replicas cannot share a port: the proxy has it
    processes = 2 * int(web["environment"]["WEB_CONCURRENCY"]) + 2
    assert 2 * CONNECTIONS_A_PROCESS * processes <= _MACHINE_CONNECTIONS  # also in a rollout
    mounted = parts["proxy"]["volumes"][0].split(":")[0]
    assert (ROOT / mounted).is_file()


def test_docker_itself_accepts_compose_yaml(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed here")
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    checked = subprocess.run(
        [docker, "compose", "config", "--quiet"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_the_image_holds_what_exists_and_runs_as_nobody_special() -> None:
    stages = [index for index, (name, _) in enumerate(dockerfile()) if name == "FROM"]
    assert len(stages) == 2
    last = dockerfile()[stages[-1] :]
    assert last[0] == ("FROM", "python:3.13-slim")
    (user,) = [text for name, text in last if name == "USER"]
    assert user not in ("root", "0")
    assert f" {user}" in next(text for name, text in last if name == "RUN")
    built = " ".join(text for name, text in last if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|gcc|build-essential|pip)\b", built)
    for name, text in dockerfile():
        if name == "COPY" and not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert in_context(source), source
    assert dockerfile()[-1][0] == "CMD"


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.production",
        ".git/config",
        "instance/rtms.sqlite3",
        "tests/conftest.py",
        "sandbox/recall.py",
        "recordings/meeting.mp4",
        "videos/meeting.mp4",
        ".env.old",
        "rtms.sqlite3",
        "my-archive/2026/11/meeting.mp4",
        ".venv/bin/python",
        "rtms/__pycache__/zoom.cpython-313.pyc",
        "rtms/cli/__pycache__/options.cpython-313.pyc",
        "migrations/versions/__pycache__/0001.pyc",
    ],
)
def test_what_stays_out_of_the_image(path: str) -> None:
    assert not in_context(path)


def test_every_file_of_the_program_goes_into_the_image() -> None:
    tracked = [
        path.relative_to(ROOT)
        for folder in ("rtms", "migrations")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(tracked) > 50
    assert [path for path in tracked if not in_context(str(path))] == []


def test_the_unit_keeps_the_server_in() -> None:
    service = unit_file()["Service"]
    for name, wanted in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "StateDirectory": "rtms",
        "EnvironmentFile": "/etc/rtms/env",
        "Restart": "always",
        "KillMode": "mixed",
        "CapabilityBoundingSet": "",
    }.items():
        assert service[name] == wanted
    assert service["User"] != "root"


def test_systemd_itself_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed here")
    # The same unit, of a program that is installed on this machine.
    text = (ROOT / "deploy" / "rtms.service").read_text()
    text = text.replace("/opt/rtms/.venv/bin/gunicorn", str(Path(sys.executable).resolve()))
    text = text.replace("/opt/rtms", str(ROOT))
    (tmp_path / "rtms.service").write_text(text)
    checked = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / "rtms.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    about_us = [line for line in checked.stderr.splitlines() if "rtms.service" in line]
    assert (checked.returncode, about_us) == (0, [])


def test_the_proxies_lead_to_the_server_and_say_whom_they_speak_for() -> None:
    for name, port in {"Caddyfile": "127.0.0.1:8000", "compose.Caddyfile": "web 8000"}.items():
        text = (ROOT / "deploy" / name).read_text()
        assert "reverse_proxy" in text
        assert port in text
        assert text.count("{") == text.count("}")
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in nginx
    assert "proxy_set_header X-Forwarded-Proto $scheme;" in nginx
    assert "server 127.0.0.1:8000;" in nginx
    assert nginx.count("{") == nginx.count("}")


def test_the_guide_names_only_what_exists() -> None:
    guide = (ROOT / "docs" / "DEPLOY.md").read_text()
    known = variables() | _PLATFORM_VARIABLES | {"DYNO", "SIGTERM", "SIGKILL", "HEALTHCHECK"}
    named = set(re.findall(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`", guide))
    assert named - known == set()
    for file in ("render.yaml", "app.json", "fly.toml", "Dockerfile", "compose.yaml"):
        assert f"`{file}`" in guide
