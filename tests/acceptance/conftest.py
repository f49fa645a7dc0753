"""What several of these tests share."""

import shutil
from pathlib import Path

import pytest

from config import ROOT

EXTENSIONS = Path(__file__).parent / "extension"
_NOT_COPIED = shutil.ignore_patterns(".*", "instance", "tests", "bench", "docs")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, as a fresh clone has it; what was compiled of it is copied, too."""
    return Path(shutil.copytree(ROOT, tmp_path / "project", ignore=_NOT_COPIED))
