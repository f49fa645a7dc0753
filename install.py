"""Makes `.venv`, and installs in it what a file of requirements names.

The Makefile runs `python3 install.py requirements.txt` before everything else. It does nothing
where all is installed. A `.venv` that does not work is made anew: one whose making or installing
broke off, whose Python was removed or upgraded, that has no pip, or that was moved or copied here
with its folder, so that its programs start those of the other folder.

It runs on older versions of Python 3 too, to say that they are too old.
"""

import fcntl
import filecmp
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"  # exists while something is made or installed
RUNTIME = "requirements.txt"  # every other file of requirements includes it


def main(requirements: str) -> None:
    """Make `.venv` whole, and install what the file names."""
    lock = os.open(str(ROOT), os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends: two at once would spoil each other
    trouble = trouble_with_venv()
    if trouble:
        if VENV.exists() or VENV.is_symlink():
            print(f".venv is made anew: {trouble}.", flush=True)
            remove_venv()
        make_venv()
    if not is_installed(requirements):
        install(requirements)


def trouble_with_venv() -> str:
    """Return why `.venv` cannot be used; an empty text where it can."""
    if UNFINISHED.exists():
        return "its making or an installation broke off"
    program = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        tried = subprocess.run([str(PYTHON), "-c", program], stderr=subprocess.DEVNULL)
    except OSError:  # a link that leads nowhere, or a program for another kind of machine
        return "its Python is not there, or does not run here"
    if tried.returncode:
        return "its Python was upgraded or is too old, or it has no pip"
    pip = VENV / "bin" / "pip"
    # Each program in it begins with the whole path of its Python.
    named = re.search(f"[!'\"]{re.escape(str(PYTHON))}", pip.read_text() if pip.exists() else "")
    return "" if named else "it was moved or copied here from another folder"


def make_venv() -> None:
    """Make `.venv`, or leave none."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; {sys.executable} is "
            f"{sys.version.split()[0]}. Try: make PYTHON=python3.11 ..."
        )
    print("Making .venv ...", flush=True)
    VENV.mkdir()
    UNFINISHED.touch()
    try:
        python = shlex.split(os.environ.get("PYTHON", sys.executable))  # as make was told
        made = subprocess.run([*python, "-m", "venv", str(VENV)])
        if made.returncode:
            sys.exit(
                "\n.venv could not be made, and what there was of it was removed. On Debian and "
                "Ubuntu install\nthe package python3-venv (sudo apt install python3-venv), then "
                "run the same command again."
            )
        UNFINISHED.unlink()
    finally:
        if UNFINISHED.exists():
            remove_venv()


def remove_venv() -> None:
    """Remove what there is of `.venv`."""
    if VENV.is_dir() and not VENV.is_symlink():
        shutil.rmtree(str(VENV))
    else:
        VENV.unlink()


def is_installed(requirements: str) -> bool:
    """Return whether what the file names now is what was installed."""
    installed = VENV / requirements
    return installed.exists() and filecmp.cmp(requirements, str(installed), shallow=False)


def install(requirements: str) -> None:
    """Install what the file names."""
    what = "the server" if requirements == RUNTIME else "the server, its tests and checks"
    print(f"Installing packages for {what}; this takes up to a minute ...", flush=True)
    UNFINISHED.touch()
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = subprocess.run([*pip, "--requirement", requirements]).returncode
    # An interruption does not get here: it leaves parts of packages, which pip takes for whole.
    # Where pip fails by itself, it has undone what it did.
    UNFINISHED.unlink()
    if failed:
        sys.exit("The packages could not be installed. pip says above why.")
    subprocess.run([str(PYTHON), "deploy/flask_command.py"], check=True)
    for each in {RUNTIME, requirements}:
        shutil.copyfile(each, str(VENV / each))


if __name__ == "__main__":
    os.chdir(str(ROOT))
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}. Remove .venv, and run the same command again.")
