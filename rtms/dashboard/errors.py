"""What goes wrong inside the dashboard, as pages."""

from __future__ import annotations

import structlog
from flask import Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from rtms.dashboard.blueprint import blueprint
from rtms.database import DatabaseUnavailable

log = structlog.get_logger()

_TITLES = {
    400: "The request makes no sense",
    403: "Not allowed",
    404: "There is nothing here",
    405: "Not in this way",
    413: "That is too much",
    429: "Please wait",
    500: "Something broke",
}
_WORDS = {
    404: "The address is not known, or what was here has been deleted.",
    405: "This address takes no such request. Go back, and use the page's own buttons.",
    413: "The form is larger than any of ours.",
    500: "This page could not be made. The server's log says why; deliveries and connects go their "
    "own way and are not affected.",
}
_RETRY_AFTER = "5"  # seconds


@blueprint.errorhandler(HTTPException)
def _error(error: HTTPException) -> Response:
    code = error.code or 500
    words = error.description
    if not words or words == type(error).description:  # nobody said anything of their own
        words = _WORDS.get(code, error.name)
    answer = make_response(
        render_template("error.html", title=_TITLES.get(code, error.name), words=words), code
    )
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


@blueprint.errorhandler(DatabaseUnavailable)
def _database_away(error: DatabaseUnavailable) -> Response:
    log.error("dashboard: the database is away", error=str(error), path=repr(request.path[:100]))
    answer = make_response(render_template("away.html"), 503)
    answer.headers["Retry-After"] = _RETRY_AFTER
    return answer
