"""Creates `.venv`, and installs a requirements file in it.

The Makefile runs `python3 install.py requirements.txt` before everything else. It does nothing if
everything is installed. It recreates a `.venv` that does not work: creating it or installing into
it was interrupted, its Python was removed or upgraded, it has no pip, or it was moved or copied
here, so that its programs would start those of the other folder.

It also runs on older versions of Python 3, to say that they are too old.
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
UNFINISHED = VENV / "unfinished"  # exists while something is created or installed
RUNTIME = "requirements.txt"  # every other requirements file includes it


def main(requirements: str) -> None:
    """Create or repair `.venv`, and install the requirements file."""
    lock = os.open(str(ROOT), os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held until this process ends, so that only one installs
    trouble = trouble_with_venv()
    if trouble:
        if VENV.exists() or VENV.is_symlink():
            print(f"Creating .venv again: {trouble}.", flush=True)
            remove_venv()
        make_venv()
    if not is_installed(requirements):
        install(requirements)


def trouble_with_venv() -> str:
    """Return why `.venv` cannot be used; empty if it can."""
    if UNFINISHED.exists():
        return "an earlier installation was interrupted"
    program = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        tried = subprocess.run([str(PYTHON), "-c", program], stderr=subprocess.DEVNULL)
    except OSError:  # a broken link, or a program for another kind of machine
        return "its Python is missing, or does not run here"
    if tried.returncode:
        return "its Python was upgraded or is too old, or it has no pip"
    pip = VENV / "bin" / "pip"
    # Each program in it begins with the absolute path of its Python.
    named = re.search(f"[!'\"]{re.escape(str(PYTHON))}", pip.read_text() if pip.exists() else "")
    return "" if named else "it was moved or copied here from another folder"


def make_venv() -> None:
    """Create `.venv`, or leave none."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; {sys.executable} is "
            f"{sys.version.split()[0]}. Try: make PYTHON=python3.11 ..."
        )
    print("Creating .venv ...", flush=True)
    VENV.mkdir()
    UNFINISHED.touch()
    try:
        python = shlex.split(os.environ.get("PYTHON", sys.executable))  # as make was told
        made = subprocess.run([*python, "-m", "venv", str(VENV)])
        if made.returncode:
            sys.exit(
                "\n.venv could not be created. On Debian and Ubuntu, install the package "
                "python3-venv\n(sudo apt install python3-venv), then run the same command again."
            )
        UNFINISHED.unlink()
    finally:
        if UNFINISHED.exists():
            remove_venv()


def remove_venv() -> None:
    """Remove `.venv`."""
    if VENV.is_dir() and not VENV.is_symlink():
        shutil.rmtree(str(VENV))
    else:
        VENV.unlink()


def is_installed(requirements: str) -> bool:
    """Return whether this version of the requirements file is installed."""
    installed = VENV / requirements
    return installed.exists() and filecmp.cmp(requirements, str(installed), shallow=False)


def install(requirements: str) -> None:
    """Install the requirements file."""
    what = "the server" if requirements == RUNTIME else "the server, its tests and checks"
    print(f"Installing packages for {what}; this takes up to a minute ...", flush=True)
    UNFINISHED.touch()
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = subprocess.run([*pip, "--requirement", requirements]).returncode
    # This is not reached if pip is interrupted: it leaves incomplete packages that it would later
    # take for complete ones. If pip fails, it has undone its changes.
    UNFINISHED.unlink()
    if failed:
        sys.exit("The packages could not be installed. See pip's message above.")
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
