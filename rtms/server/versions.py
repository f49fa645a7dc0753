"""Compare the installed gunicorn and gevent with the versions that this server is tested with."""

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
    """Check that gevent is installed. gunicorn would not say how to install it.

    Raises:
        NotInstalled: it is not.
    """
    if find_spec("gevent") is None:
        raise NotInstalled(
            "gevent is not installed, and the server needs it since its last upgrade: run "
            "`pip install -r requirements.txt` (`make run` does it by itself)."
        )


def differences() -> list[str]:
    """Return a sentence for each installed version that is not the pinned one."""
    pinned = dict(_PIN.findall(_PINNED.read_text())) if _PINNED.exists() else {}
    return compare(pinned, {name: _installed(name) for name in pinned})


def compare(pinned: Mapping[str, str], installed: Mapping[str, str | None]) -> list[str]:
    """Return a sentence for each installed version that differs.

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
