"""`make` builds `.venv` whole or not at all, and builds it anew where it does not work any more."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from config import ROOT

WITHOUT_VENV = """#!/bin/sh
# Debian's python3 without the package python3-venv.
if [ "$1" = -m ] && [ "$2" = venv ]; then
    python3 -m venv --without-pip "$3"
    echo "The virtual environment was not created successfully because ensurepip is not available."
    exit 1
fi
exec python3 "$@"
"""


def new_project(folder: Path) -> Path:
    """Make a project that needs no package, so that installing takes no time."""
    (folder / "deploy").mkdir(parents=True)
    for name in ("Makefile", "install.py", "deploy/flask_command.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements.txt").write_text("# nothing\n")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its `.venv`, which no test breaks: to make one takes seconds."""
    folder = new_project(tmp_path_factory.mktemp("made") / "server")
    make(folder)
    assert works(folder)
    assert make(folder) == ""  # nothing is left to do
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a `.venv` that `make` takes for whole; its pip does nothing."""
    folder = new_project(tmp_path / "server")
    without_pip(folder)
    (packages,) = (folder / ".venv/lib").glob("python*/site-packages")
    (packages / "pip.py").touch()
    (folder / ".venv/bin/pip").write_text(f"#!{folder}/.venv/bin/python\n")
    assert trouble(folder) == ""
    return folder


def make(folder: Path, *more: str, ok: bool = True) -> str:
    """Run `make runtime`, and return what it says."""
    done = subprocess.run(
        ["make", "--no-print-directory", "runtime", *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stdout
    return done.stdout


def works(folder: Path) -> bool:
    """Whether the programs of `.venv` run, with this folder's Python."""
    pip = subprocess.run(
        [folder / ".venv/bin/pip", "--version"], capture_output=True, text=True, check=False
    )
    return str(folder / ".venv") in pip.stdout


def trouble(folder: Path) -> str:
    """Return what `make` finds to be wrong with `.venv`."""
    return install("print(trouble_with_venv())", folder)


def install(program: str, folder: Path) -> str:
    """Run functions of install.py, and return what was printed."""
    command = ["python3", "-c", f"from install import *; {program}"]
    return subprocess.check_output(command, cwd=folder, text=True).strip()


def remove_python(folder: Path) -> None:
    for link in (folder / ".venv/bin").glob("python*"):
        link.unlink()
        link.symlink_to("/opt/python-that-was-removed/bin/python")


def upgrade_python(folder: Path) -> None:
    (packages,) = (folder / ".venv/lib").iterdir()
    packages.rename(packages.with_name("python3.5"))  # those of the Python before


def another_machines_python(folder: Path) -> None:
    python = folder / ".venv/bin/python"
    python.unlink()
    python.write_bytes(b"\xcf\xfa\xed\xfe")
    python.chmod(0o755)


def without_pip(folder: Path) -> None:
    subprocess.run(
        ["python3", "-m", "venv", "--clear", "--without-pip", folder / ".venv"], check=True
    )


def copied(folder: Path) -> None:
    (folder / ".venv/bin/pip").write_text(f"#!/home/somebody{folder}/.venv/bin/python\n")


def a_link_to_nowhere(folder: Path) -> None:
    shutil.rmtree(folder / ".venv")
    (folder / ".venv").symlink_to(folder / "nowhere")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (remove_python, "its Python is missing"),
        (upgrade_python, "it has no pip"),
        (another_machines_python, "does not run here"),
        (without_pip, "it has no pip"),
        (copied, "moved or copied"),
        (a_link_to_nowhere, "its Python is missing"),
    ],
)
def test_a_venv_that_does_not_work_is_found_and_removed(
    folder: Path, broken: Callable[[Path], None], words: str
) -> None:
    broken(folder)
    assert words in trouble(folder)
    install("remove_venv()", folder)
    assert not os.path.lexists(folder / ".venv")


def test_a_folder_that_was_moved_gets_programs_of_its_own(made: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(made, moved, symlinks=True)
    assert "Creating .venv again: it was moved or copied" in make(moved)
    assert works(moved)
    assert make(moved) == ""


def test_without_pythons_venv_package_nothing_is_left_and_the_package_is_named(
    tmp_path: Path,
) -> None:
    folder = new_project(tmp_path / "server")
    python = tmp_path / "debian-python"
    python.write_text(WITHOUT_VENV)
    python.chmod(0o755)
    assert "sudo apt install python3-venv" in make(folder, f"PYTHON={python}", ok=False)
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_installation_that_broke_off_is_found(made: Path, number: signal.Signals) -> None:
    requirements = made / "requirements.txt"
    with socket.create_server(("127.0.0.1", 0)) as index:  # it takes calls, and answers none
        index.settimeout(60)
        requirements.write_text("a-package\n")
        its_url = f"http://127.0.0.1:{index.getsockname()[1]}/"
        pip = {"PIP_INDEX_URL": its_url, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "*"}
        process = subprocess.Popen(
            ["make", "runtime"],
            cwd=made,
            env=os.environ | pip,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup ignores it
        )
        client, _ = index.accept()
        os.killpg(process.pid, number)
        client.close()
    assert process.wait(30) != 0
    assert "was interrupted" in trouble(made)
    (made / ".venv/unfinished").unlink()
    requirements.write_text("# nothing\n")


def test_what_pip_refuses_is_said_and_costs_no_venv(made: Path) -> None:
    requirements = made / "requirements.txt"
    requirements.write_text("/there/is/no/such/package\n")
    assert "could not be installed" in make(made, ok=False)
    requirements.write_text("# nothing\n")
    assert "Creating .venv" not in make(made)
    assert works(made)


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    folder = new_project(tmp_path / "server")
    program = folder / "install.py"
    program.write_text(program.read_text().replace("(3, 11)", "(4, 0)"))
    assert "Python 4.0 or newer is needed" in make(folder, ok=False)
    assert not (folder / ".venv").exists()
