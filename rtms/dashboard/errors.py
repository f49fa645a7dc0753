"""What goes wrong inside the dashboard: a page for a browser, JSON for whoever else asks."""

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
    400: "The request makes no sense",
    403: "Not allowed",
    404: "There is nothing here",
    405: "Not in this way",
    413: "That is too much",
    429: "Please wait",
    500: "Something broke",
    503: "Too much at once",
}
_WORDS = {
    404: "The address is not known, or what was here has been deleted.",
    405: "This address takes no such request. Go back, and use the page's own buttons.",
    413: "The form is larger than any of ours.",
    500: "This page could not be made. The server's log says why; deliveries and connects go their "
    "own way and are not affected.",
}
_AWAY = "The database did not answer. Try again in a few seconds; the server's log says more."
_RETRY_AFTER = "5"  # seconds


def page_or_json(page: str, words: str, status: int) -> Response:
    """Make an answer that is no success: the page where a browser asks, else JSON.

    Args:
        page: HTML.
        words: the same in a sentence or two, for `{"error": ...}`.
        status: HTTP's.
    """
    answer = make_response(page if _is_browser() else jsonify(error=words), status)
    answer.vary.add("Accept")
    return answer


def unknown_path(error: HTTPException) -> Response | None:
    """Return a page for a browser that asks for a path that no route has. None where it is no such
    request, or there is no dashboard."""
    is_unknown = isinstance(error, NotFound) and request.url_rule is None
    if not (is_unknown and blueprint.name in current_app.blueprints and _is_browser()):
        return None
    g.nonce = secrets.token_urlsafe(16)
    with suppress(DatabaseUnavailable):  # a page for who is not logged in needs no database
        guard.recognise()
    return guard.protect(_error(error))


@blueprint.errorhandler(HTTPException)
def _error(error: HTTPException) -> Response:
    code = error.code or 500
    words = error.description
    if not words or words == type(error).description:  # nobody said anything of their own
        words = _WORDS.get(code, error.name)
    title = _TITLES.get(code, error.name)
    page = render_template("error.html", title=title, words=words)
    answer = page_or_json(page, words, code)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


@blueprint.errorhandler(DatabaseUnavailable)
def _database_away(error: DatabaseUnavailable) -> Response:
    log.error(
        "dashboard: the database is unreachable", error=str(error), path=repr(request.path[:100])
    )
    answer = page_or_json(render_template("away.html"), _AWAY, 503)
    answer.headers["Retry-After"] = _RETRY_AFTER
    return answer


def _is_browser() -> bool:
    """Whether who asks names HTML, and nothing that they would rather have than that."""
    accepts = request.accept_mimetypes
    named = any(name.lower() == "text/html" for name in accepts.values())
    return named and 0 < accepts["text/html"] >= accepts["application/json"]
