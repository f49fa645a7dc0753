"""The commands of the deploy files, run as they are written, on each engine in turn."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from config import ROOT
from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.databases import on_one_engine
from tests.deploy_files import compose, dockerfile, procfile, unit_file
from tests.servers import Server, free_port, wait_for

BESIDE_PYTHON = str(Path(sys.executable).parent)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with what the Dockerfile copies, and nothing else."""
    folder = tmp_path / "image"
    folder.mkdir()
    last_stage = dockerfile()[[name for name, _ in dockerfile()].index("FROM", 1) :]
    for name, text in last_stage:
        if name != "COPY" or text.startswith("--from"):
            continue
        *sources, target = text.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target)
            else:
                shutil.copy(ROOT / source, folder / target)
    return folder


class Image:
    """Runs commands there, as a container would."""

    def __init__(self, folder: Path, environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.folder, self.log = folder, log
        self.environ = {
            **environ,
            "PATH": f"{BESIDE_PYTHON}:{os.environ['PATH']}",
            "HOME": str(log.parent),
            "PORT": str(self.port),
        }

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=60
        )

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=log, stderr=log
            )

    def is_ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/readyz"
            return requests.get(url, timeout=5).status_code == 200
        except requests.RequestException:
            return False


def checks_of_health(port: int) -> dict[str, list[str]]:
    """What Docker and Compose run to see whether a server is well."""
    (text,) = [text for name, text in dockerfile() if name == "HEALTHCHECK"]
    of_compose = compose()["services"]["web"]["healthcheck"]["test"]
    assert of_compose[0] == "CMD"
    return {
        "Dockerfile": json.loads(text[text.index("CMD ") + 4 :]),
        "compose.yaml": [part.replace("8000", str(port)) for part in of_compose[1:]],
    }


@pytest.mark.unmigrated
def test_release_web_worker_and_health_run_from_what_is_in_the_image(
    image: Path, environ: dict[str, str], recall: RecallSandbox, tmp_path: Path
) -> None:
    log = tmp_path / "image.log"
    there = Image(image, {**environ, "RECALL_BASE_URL": recall.url, "DISPATCHER": "off"}, log)
    for command in checks_of_health(there.port).values():
        assert there.run(command).returncode != 0  # nobody is there yet
    released = there.run(shlex.split(procfile()["release"]))
    assert released.returncode == 0, released.stderr
    assert "revision" in released.stdout
    web = there.start(json.loads(dict(dockerfile())["CMD"]))
    worker = there.start(shlex.split(procfile()["worker"]))
    try:
        wait_for(there.is_ready, lambda: f"the server:\n{log.read_text()}")
        for file, command in checks_of_health(there.port).items():
            checked = there.run(command)
            assert checked.returncode == 0, (file, checked.stderr)
        endpoint = f"http://127.0.0.1:{there.port}/zoom-webhook"
        with ZoomSandbox(endpoint, environ["ZOOM_SECRET_TOKEN"], timeout=20) as zoom:
            assert zoom.validate().ok
            assert zoom.deliver(events.started(Stream())).ok
        wait_for(lambda: recall.connections, lambda: f"the worker:\n{log.read_text()}")
        assert "worker started" in log.read_text()
    finally:
        for process in (web, worker):
            process.terminate()
        codes = [process.wait(40) for process in (web, worker)]
    assert codes == [0, 0]
    assert recall.connections[0].signature_ok


@on_one_engine
def test_what_systemd_starts_runs(
    image: Path, environ: dict[str, str], recall: RecallSandbox, tmp_path: Path
) -> None:
    there = Image(image, {**environ, "RECALL_BASE_URL": recall.url}, tmp_path / "unit.log")
    assert there.run(shlex.split(procfile()["release"])).returncode == 0
    command = unit_file()["Service"]["ExecStart"]
    command = command.replace("/opt/rtms/.venv/bin", BESIDE_PYTHON)
    process = there.start(shlex.split(command.replace("8000", str(there.port))))
    try:
        wait_for(there.is_ready, lambda: f"the server:\n{there.log.read_text()}")
    finally:
        process.terminate()
        assert process.wait(40) == 0
    assert f"Listening at: http://127.0.0.1:{there.port}" in there.log.read_text()


def refused(server: Server, forwarded_for: str | None) -> str:
    """Send a delivery that nobody signed, and return whom the log says it is from."""
    before = len(lines(server))
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    answer = requests.post(
        f"{server.url}/zoom-webhook", json={"event": "x"}, headers=headers, timeout=10
    )
    assert answer.status_code == 401
    wait_for(lambda: len(lines(server)) > before, lambda: f"a line:\n{server.log()}")
    remote: str = lines(server)[-1]["remote"]
    return remote


def lines(server: Server) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == "delivery refused"]


@on_one_engine
@pytest.mark.parametrize(
    ("proxies", "remotes"),
    [
        # Whoever comes straight may write anything there.
        ("0", {None: "127.0.0.1", "203.0.113.7": "127.0.0.1"}),
        (
            "1",
            {
                None: "127.0.0.1",
                "203.0.113.7": "203.0.113.7",
                "198.51.100.1, 203.0.113.7": "203.0.113.7",  # the first is the client's own word
            },
        ),
        (
            "2",
            {
                "198.51.100.1, 203.0.113.7, 192.0.2.9": "203.0.113.7",
                "203.0.113.7": "127.0.0.1",  # fewer than there should be: none is believed
            },
        ),
    ],
)
def test_a_proxy_is_believed_as_far_as_it_is_trusted(
    server: Server, proxies: str, remotes: dict[str | None, str]
) -> None:
    server.environ.update(TRUSTED_PROXIES=proxies, LOG_FORMAT="json", WEB_CONCURRENCY="1")
    server.start()
    assert {each: refused(server, each) for each in remotes} == remotes


@on_one_engine
def test_the_backup_of_the_guide_is_a_whole_copy(server: Server, tmp_path: Path) -> None:
    url = server.environ["DATABASE_URL"]
    server.start()
    with ZoomSandbox(
        f"{server.url}/zoom-webhook", server.environ["ZOOM_SECRET_TOKEN"], timeout=20
    ) as zoom:
        assert zoom.deliver(events.started(Stream())).ok
    guide = (ROOT / "docs" / "DEPLOY.md").read_text()
    (command,) = re.findall(r"^python3 -c .*\\\n.*$", guide, re.MULTILINE)
    copy = tmp_path / "copy.sqlite3"
    for written, meant in {
        "python3": sys.executable,
        "/var/lib/rtms/rtms.sqlite3": url.removeprefix("sqlite:///"),
        "/srv/backup/rtms.sqlite3": str(copy),
    }.items():
        command = command.replace(written, meant)
    subprocess.run(command, shell=True, check=True, timeout=60)
    server.environ["DATABASE_URL"] = f"sqlite:///{copy}"
    assert len(server.meetings()) == 1
