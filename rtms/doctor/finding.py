"""What a check has to say: how bad it is, what was found, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy.engine import URL

from config import Config

_SHORTEST_SECRET = 8  # characters; to hide a shorter one, which may be a word, would tell it


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and something should be looked after
    FAILURE = "failure"  # meetings are lost, or somebody could forge them


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    grade: Grade
    found: str
    next_step: str | None = None  # nothing to do


def ok(about: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Grade.OK, found)


def warning(about: str, found: str, next_step: str) -> Finding:
    """It works, and should be looked after."""
    return Finding(about, Grade.WARNING, found, next_step)


def failure(about: str, found: str, next_step: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(about, Grade.FAILURE, found, next_step)


def without_secrets(finding: Finding, secrets: Iterable[str]) -> Finding:
    """The same finding, in case that what it quotes of somebody else holds a secret of ours."""
    found, next_step = finding.found, finding.next_step
    for secret in secrets:
        found = found.replace(secret, "[hidden]")
        next_step = next_step and next_step.replace(secret, "[hidden]")
    return replace(finding, found=found, next_step=next_step)


def secrets_of(config: Config) -> list[str]:
    """Every value that nobody may read, the longest first: one may hold another."""
    texts = [
        *config.zoom_secret_tokens,
        config.zoom_client_secret,
        config.recall_api_key,
        *config.recall_webhook_secrets,
        config.notify_url,
        config.notify_secret,
        config.archive_url,
        config.admin_password,
        config.metrics_token,
        _password(config.database_url),
    ]
    found = {text for text in texts if text and len(text) >= _SHORTEST_SECRET}
    return sorted(found, key=len, reverse=True)


def _password(url: URL) -> str | None:
    return None if url.password is None else str(url.password)
