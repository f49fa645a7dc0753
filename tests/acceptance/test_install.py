"""`make` builds `.venv` whole or not at all, and builds it anew where it does not work any more."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that needs no package, so that installing takes no time; `.venv` is made."""
    folder = tmp_path_factory.mktemp("project") / "server"
    folder.mkdir()
    (folder / "deploy").mkdir()
    for name in ("Makefile", "install.py", "deploy/flask_command.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements.txt").write_text("# nothing\n")
    make(folder)
    yield folder


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
    shutil.rmtree(folder / ".venv")
    subprocess.run(["python3", "-m", "venv", "--without-pip", folder / ".venv"], check=True)


def copied(folder: Path) -> None:
    shutil.move(folder / ".venv", folder.parent / ".venv")
    shutil.copytree(folder.parent / ".venv", folder / ".venv", symlinks=True)
    for script in (folder / ".venv/bin").glob("pip*"):
        script.write_text(script.read_text().replace(str(folder), "/home/somebody" + str(folder)))
    shutil.rmtree(folder.parent / ".venv")


def a_link_to_nowhere(folder: Path) -> None:
    shutil.rmtree(folder / ".venv")
    (folder / ".venv").symlink_to(folder / "nowhere")


@pytest.mark.parametrize(
    "broken",
    [
        remove_python,
        upgrade_python,
        another_machines_python,
        without_pip,
        copied,
        a_link_to_nowhere,
    ],
)
def test_a_venv_that_does_not_work_is_made_anew(
    folder: Path, broken: Callable[[Path], None]
) -> None:
    broken(folder)
    assert ".venv is made anew: " in make(folder)
    assert works(folder)
    assert make(folder) == ""  # nothing is left to do


def test_a_folder_that_was_moved_gets_programs_of_its_own(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved, symlinks=True)
    assert "moved or copied" in make(moved)
    assert works(moved)


def test_without_pythons_venv_package_nothing_is_left_and_the_package_is_named(
    folder: Path, tmp_path: Path
) -> None:
    python = tmp_path / "debian-python"
    python.write_text(WITHOUT_VENV)
    python.chmod(0o755)
    shutil.rmtree(folder / ".venv")
    assert "sudo apt install python3-venv" in make(folder, f"PYTHON={python}", ok=False)
    assert not (folder / ".venv").exists()
    make(folder)
    assert works(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_installation_that_breaks_off_is_begun_anew(
    folder: Path, number: signal.Signals
) -> None:
    requirements = folder / "requirements.txt"
    with socket.create_server(("127.0.0.1", 0)) as index:  # it takes calls, and answers none
        index.settimeout(60)
        requirements.write_text("a-package\n")
        its_url = f"http://127.0.0.1:{index.getsockname()[1]}/"
        pip = {"PIP_INDEX_URL": its_url, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "*"}
        process = subprocess.Popen(
            ["make", "runtime"],
            cwd=folder,
            env=os.environ | pip,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        client, _ = index.accept()
        os.killpg(process.pid, number)
        client.close()
    assert process.wait(30) != 0
    requirements.write_text("# nothing\n")
    assert "broke off" in make(folder)
    assert works(folder)


def test_what_pip_refuses_is_said_and_costs_no_venv(folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text("/there/is/no/such/package\n")
    assert "could not be installed" in make(folder, ok=False)
    requirements.write_text("# nothing\n")
    assert "made anew" not in make(folder)
    assert works(folder)


def test_a_python_that_is_too_old_is_named(folder: Path, tmp_path: Path) -> None:
    text = (folder / "install.py").read_text()
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(folder / "Makefile", old)
    (old / "install.py").write_text(text.replace("(3, 11)", "(4, 0)"))
    assert "Python 4.0 or newer is needed" in make(old, ok=False)
    assert not (old / ".venv").exists()
