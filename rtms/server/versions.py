"""Which gunicorn and gevent are installed, beside those that this server was tested with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_PIN = re.compile(r"^(gunicorn|gevent)==(\S+)", re.MULTILINE)
_PINNED = Path(__file__).parents[2] / "requirements.txt"


class NotInstalled(Exception):
    """The server cannot run without this package."""


def require_gevent() -> None:
    """Look for gevent before gunicorn does, which would not say how to get it.

    Raises:
        NotInstalled: it is not there.
    """
    if find_spec("gevent") is None:
        raise NotInstalled(
            "gevent is not installed, and the server needs it since its last upgrade: run "
            "`pip install -r requirements.txt` (`make run` does it by itself)."
        )


def differences() -> list[str]:
    """Say in what the installed versions differ from those that are pinned, a sentence each."""
    pinned = dict(_PIN.findall(_PINNED.read_text())) if _PINNED.exists() else {}
    return compare(pinned, {name: _installed(name) for name in pinned})


def compare(pinned: Mapping[str, str], installed: Mapping[str, str | None]) -> list[str]:
    """Say in what versions differ, a sentence each.

    Args:
        pinned: package → its version in requirements.txt.
        installed: the same, as it is installed; None where it is not.
    """
    return [
        f"{name} {installed[name] or 'is not installed'}, and this server is tested with {wanted}: "
        "run `pip install -r requirements.txt`"
        for name, wanted in pinned.items()
        if installed[name] != wanted
    ]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
