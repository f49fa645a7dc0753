"""The routes for whoever watches the process."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, jsonify

from rtms import VERSION
from rtms.db.database import UNANSWERED
from rtms.services import services

blueprint = Blueprint("health", __name__)
log = structlog.get_logger()


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process lives. Touches nothing."""
    return jsonify(status="ok", version=VERSION)


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Whether deliveries can be taken in and, where this process is to connect them, are."""
    its = services()
    problems = [_for_anybody(its.database.unfit())]
    if its.config.dispatcher and not (its.dispatcher and its.dispatcher.is_running):
        problems.append("The dispatcher does not run: this process connects no streams.")
    problems = [problem for problem in problems if problem]
    if problems:
        return jsonify(status="not ready", problems=problems), 503
    return jsonify(status="ready"), 200


def _for_anybody(problem: str | None) -> str | None:
    """What the database's driver says may name hosts and files: that is for the log."""
    if problem is None or not problem.startswith(UNANSWERED):
        return problem
    log.error("not ready", problem=problem)
    return f"{UNANSWERED}. The log says more."
