"""The health checks: /healthz and /readyz."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, jsonify

from rtms import VERSION
from rtms.db.database import UNANSWERED
from rtms.services import get_services

blueprint = Blueprint("health", __name__)
log = structlog.get_logger()


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer 200 while the process is alive, without using the database."""
    return jsonify(status="ok", version=VERSION)


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Answer 200 if deliveries are accepted and, if this process connects streams, connected."""
    services = get_services()
    problems = [_without_details(services.database.unfit())]
    if services.config.dispatcher and not (services.dispatcher and services.dispatcher.is_running):
        problems.append("The dispatcher does not run, so this process connects no streams.")
    problems = [problem for problem in problems if problem]
    if problems:
        return jsonify(status="not ready", problems=problems), 503
    return jsonify(status="ready"), 200


def _without_details(problem: str | None) -> str | None:
    """Return a problem without the driver's details, which may name hosts and files; log them."""
    if problem is None or not problem.startswith(UNANSWERED):
        return problem
    log.error("not ready", problem=problem)
    return f"{UNANSWERED}. See the server's log."
