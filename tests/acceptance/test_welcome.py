"""What somebody who follows the quick start sees: a password, where the dashboard is, and whether
Recall takes the key."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config import Config
from rtms.doctor.key_check import check_key
from sandbox import Fault, RecallSandbox
from tests.conftest import ENVIRON
from tests.databases import on_one_engine
from tests.servers import Server, wait_for


def make_env(project: Path) -> str:
    done = subprocess.run(
        ["make", ".env"], cwd=project, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_make_env_makes_a_password_and_says_it_once(project: Path) -> None:
    (project / ".env.example").write_text((Path(__file__).parents[2] / ".env.example").read_text())
    said = make_env(project)
    dotenv = project / ".env"
    written = dotenv.read_text()
    (password,) = re.findall(r"^ADMIN_PASSWORD=(\S{16,})$", written, re.MULTILINE)
    assert said.count(password) == 1
    assert "replace-with" in said  # what is left to do
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    dotenv.write_text(re.sub("replace-with-\\S+", "a-real-one", written))
    assert Config.load(dotenv).admin_password == password
    kept = dotenv.read_text()
    make_env(project)
    assert dotenv.read_text() == kept  # somebody's values are in it


def says(server: Server, line: str) -> list[str]:
    return [each for each in server.log().splitlines() if line in each]


@on_one_engine
def test_recalls_word_on_the_key_is_said_once_a_server(
    server: Server, recall: RecallSandbox
) -> None:
    master = server.start()
    wait_for(lambda: says(server, "accepts the API key"), "Recall's word")
    assert [(each.method, each.status) for each in recall.ledger] == [("GET", 200)]
    server.workers(master)[0].kill()  # what takes its place has nothing new to say
    wait_for(lambda: server.log().count("Worker ready") == 3, "another process")
    assert len(recall.ledger) == 1


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (401, "error", "does not know this API key (401)"),
        (402, "error", "has no credit left (402)"),
        (403, "error", "refuses the call (403)"),
        (429, "warning", "gets too many calls (429)"),
        (503, "warning", "has an internal error (503)"),
    ],
)
def test_a_recall_that_does_not_take_the_key_is_logged(
    recall: RecallSandbox, status: int, level: str, words: str
) -> None:
    recall.add_fault(Fault(kind="status", status=status, path="list", times=None))
    with capture_logs() as logged:
        check_key(Config.from_environ({**ENVIRON, "RECALL_BASE_URL": recall.url}))
        (line,) = wait_for(lambda: logged, "Recall's word")
    assert line["log_level"] == level
    assert line["event"].startswith(f"Recall: {recall.url}") and words in line["event"]
    assert ENVIRON["RECALL_API_KEY"] not in str(line)


@on_one_engine
def test_a_recall_that_does_not_take_the_key_stops_no_start(
    server: Server, recall: RecallSandbox
) -> None:
    recall.add_fault(Fault(kind="status", status=401, path="list", times=None))
    server.start()
    (line,) = wait_for(lambda: says(server, "does not know this API key"), "Recall's word")
    assert f"[error    ] Recall: {recall.url}" in line


@on_one_engine
@pytest.mark.environ(DISPATCHER="off")
def test_who_only_receives_does_not_ask(server: Server, recall: RecallSandbox) -> None:
    server.start()
    server.start_worker()
    wait_for(lambda: says(server, "accepts the API key"), "the worker's question")
    assert len(recall.ledger) == 1
