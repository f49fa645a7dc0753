"""What is ours about gunicorn, without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import ROOT
from rtms.server import versions
from tests.conftest import ENVIRON

# What holds on to parts of `socket`, `ssl`, `select` or `threading`. (So does psycopg's `waiting`,
# which the worker loads again.)
HOLDS_ON = {"aiohttp", "flask", "fsspec.asyn", "requests", "s3fs", "urllib3"}


def test_the_master_imports_nothing_that_holds_on_to_what_its_workers_replace(
    tmp_path: Path,
) -> None:
    """Else they would wait for the network without letting other requests run."""
    (tmp_path / "s3fs.py").write_text("import urllib3")
    program = "import json, runpy, sys; runpy.run_path('gunicorn.conf.py')"
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        env={
            **ENVIRON,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tmp_path),
            "DATABASE_URL": "postgresql://user@127.0.0.1/rtms",
            "ARCHIVE_URL": "s3://bucket/folder",
            "EXTENSIONS": "requests",
            "NOTIFY_URL": "https://example.com/hook",
            "NOTIFY_SECRET": "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw==",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert HOLDS_ON & set(json.loads(ended.stdout)) == set()


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"gunicorn": "27.0.1", "gevent": "26.9.0"}, None),
        ({"gunicorn": "28.0.0", "gevent": "26.9.0"}, "gunicorn 28.0.0"),
        ({"gunicorn": "27.0.1", "gevent": None}, "gevent is not installed"),
    ],
)
def test_versions_that_were_never_tested_are_named(
    installed: dict[str, str | None], said: str | None
) -> None:
    found = versions.compare({"gunicorn": "27.0.1", "gevent": "26.9.0"}, installed)
    assert [each.partition(",")[0] for each in found] == ([said] if said else [])


def test_a_server_without_gevent_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gevent", None)
    with pytest.raises(versions.NotInstalled, match=r"pip install -r requirements\.txt"):
        versions.require_gevent()


def test_the_versions_that_are_installed_here_are_the_pinned_ones() -> None:
    assert versions.differences() == []
