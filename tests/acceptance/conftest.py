"""What several of these tests share."""

import shutil
from pathlib import Path

import pytest

from config import ROOT

_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "instance", "tests", "bench")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, as a fresh clone has it."""
    return Path(shutil.copytree(ROOT, tmp_path / "project", ignore=_NOT_COPIED))
