"""Reads the deploy files as their platforms do, as far as the tests need it."""

from __future__ import annotations

import configparser
import fnmatch
import re
from pathlib import PurePosixPath
from typing import Any

import yaml

from config import ROOT


def procfile() -> dict[str, str]:
    """Process → command."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def compose() -> dict[str, Any]:
    """compose.yaml, with its anchors merged."""
    value: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return value


def unit_file() -> dict[str, dict[str, str]]:
    """Section → setting → value of the systemd unit."""
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string((ROOT / "deploy" / "rtms.service").read_text())
    return {name: dict(parser[name]) for name in parser.sections()}


def dockerfile() -> list[tuple[str, str]]:
    """Each instruction and what stands behind it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)
    ]


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a file into the image: the last line that matches it, or a folder
    that it is in, decides."""
    parts = PurePosixPath(path).parts
    inside = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        lets_in = pattern.startswith("!")
        if _matches(pattern.removeprefix("!"), parts):
            inside = lets_in
    return inside


def _matches(pattern: str, parts: tuple[str, ...]) -> bool:
    anywhere = pattern.startswith("**/")
    pattern = pattern.removeprefix("**/")
    return any(
        fnmatch.fnmatchcase("/".join(parts[start:end]), pattern)
        for start in (range(len(parts)) if anywhere else (0,))
        for end in range(start + 1, len(parts) + 1)
        if "/" in pattern or end == start + 1
    )
