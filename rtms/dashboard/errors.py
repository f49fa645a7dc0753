"""Answers errors inside the dashboard: a page for a browser, JSON for other clients."""

from __future__ import annotations

import secrets
from contextlib import suppress

import structlog
from flask import Response, current_app, g, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, NotFound

from rtms.dashboard.auth import guard
from rtms.dashboard.blueprint import blueprint
from rtms.db.errors import DatabaseUnavailable

log = structlog.get_logger()

_TITLES = {
    400: "Bad request",
    403: "Not allowed",
    404: "Page not found",
    405: "Method not allowed",
    413: "Request too large",
    429: "Please wait",
    500: "Something went wrong",
    503: "Server busy",
}
_WORDS = {
    404: "This address does not exist, or what was here has been deleted.",
    405: "This address does not accept such a request. Go back and use the buttons of the page.",
    413: "The form is larger than any on these pages.",
    500: "This page could not be created. The server's log says why. Deliveries and connects are "
    "not affected.",
}
_UNREACHABLE = "The database did not answer. Try again in a few seconds. See the server's log."
_RETRY_AFTER = "5"  # seconds


def page_or_json(page: str, words: str, status: int) -> Response:
    """Return an error response: the page for a browser, JSON for other clients.

    Args:
        page: HTML.
        words: the same in a sentence or two, for `{"error": ...}`.
        status: the HTTP status.
    """
    answer = make_response(page if _is_browser() else jsonify(error=words), status)
    answer.vary.add("Accept")
    return answer


def unknown_path(error: HTTPException) -> Response | None:
    """Return a page for a browser that requests a path without a route. Return None for every
    other request, and if there is no dashboard."""
    is_unknown = isinstance(error, NotFound) and request.url_rule is None
    if not (is_unknown and blueprint.name in current_app.blueprints and _is_browser()):
        return None
    g.nonce = secrets.token_urlsafe(16)
    with suppress(DatabaseUnavailable):  # the page without a login needs no database
        guard.recognise()
    return guard.protect(_error(error))


@blueprint.errorhandler(HTTPException)
def _error(error: HTTPException) -> Response:
    code = error.code or 500
    words = error.description
    if not words or words == type(error).description:  # only the default
        words = _WORDS.get(code, error.name)
    title = _TITLES.get(code, error.name)
    page = render_template("error.html", title=title, words=words)
    answer = page_or_json(page, words, code)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


@blueprint.errorhandler(DatabaseUnavailable)
def _database_unreachable(error: DatabaseUnavailable) -> Response:
    log.error(
        "dashboard: the database is unreachable", error=str(error), path=repr(request.path[:100])
    )
    answer = page_or_json(render_template("unreachable.html"), _UNREACHABLE, 503)
    answer.headers["Retry-After"] = _RETRY_AFTER
    return answer


def _is_browser() -> bool:
    """Return whether the client accepts HTML by name and does not prefer JSON."""
    accepts = request.accept_mimetypes
    named = any(name.lower() == "text/html" for name in accepts.values())
    return named and 0 < accepts["text/html"] >= accepts["application/json"]
