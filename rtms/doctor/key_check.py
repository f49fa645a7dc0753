"""Checks once, when a server starts, that Recall accepts the API key."""

from __future__ import annotations

import threading

import structlog

from config import Config
from rtms.doctor import recall
from rtms.doctor.finding import Grade, secrets_of, without_secrets

_LEVELS = {Grade.OK: "info", Grade.WARNING: "warning", Grade.FAILURE: "error"}

log = structlog.get_logger()


def check_key(config: Config) -> None:
    """Check the API key in a thread, and log the result. Nothing waits for it or depends on it."""
    threading.Thread(target=_ask, args=(config,), name="key check", daemon=True).start()


def _ask(config: Config) -> None:
    found = without_secrets(next(recall.look(config)), secrets_of(config))
    getattr(log, _LEVELS[found.grade])(f"Recall: {found.found}", next_step=found.next_step)
