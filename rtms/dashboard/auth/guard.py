"""Runs before and after every route of the dashboard: checks the session and the CSRF token, and
sets the headers of the response."""

from __future__ import annotations

import hmac
import secrets
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, abort, g, redirect, request, session, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from rtms import clock
from rtms.dashboard.auth import sessions
from rtms.dashboard.blueprint import WRONG_METHOD, blueprint
from rtms.dashboard.static import ASSETS
from rtms.services import get_services

CSRF_FIELD = "csrf_token"
_FOREIGN_FORM = (
    "This form was not sent from a page of your session. Go back, reload the page and try again."
)
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_NOT_UTF8 = "The part of the address after the question mark is not UTF-8. Enter it again."
_LOGIN = "dashboard.login"
_LARGEST_FORM = 16_384  # bytes
_PAGES = (("/", "Overview"), ("/meetings", "Meetings"), ("/events", "Events"))


@blueprint.before_request
def _guard() -> Answer | None:
    """Refuse a request without a session, and a POST that no page of this session sent. Every
    route but the login is guarded."""
    request.max_content_length = _LARGEST_FORM
    g.nonce = secrets.token_urlsafe(16)
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        abort(400, _NOT_UTF8)
    if request.endpoint == _LOGIN:
        return None
    if not recognise():
        return redirect(_login_url(), 303)
    if request.method not in _SAFE_METHODS:
        given = request.form.get(CSRF_FIELD, "")
        if not hmac.compare_digest(session["csrf"].encode(), given.encode()):
            abort(403, _FOREIGN_FORM)
    return None


def recognise() -> bool:
    """Return whether the request has a valid session, and set `g.logged_in` for the templates.
    The database is asked only about a cookie that this server signed.

    Raises:
        DatabaseUnavailable: the session cannot be checked.
    """
    if "token" in session:
        with get_services().database.read() as connection:
            g.logged_in = sessions.is_valid(connection, session["token"], now=clock.now())
    return bool(g.get("logged_in", False))


def _login_url() -> str:
    login = url_for(_LOGIN)
    is_page = request.method == "GET" and request.endpoint not in (
        f"{blueprint.name}.{WRONG_METHOD}",
        f"{blueprint.name}.{ASSETS}",
    )
    here = request.full_path.rstrip("?")
    if not is_page or here == "/":
        return login
    return f"{login}?next={quote(request.script_root + here, safe='/')}"


@blueprint.after_request
def protect(answer: Response) -> Response:
    """Set the headers that every response of the dashboard has, and return it."""
    config = get_services().config
    media = "'self' https:"
    recall = urlsplit(config.recall_base_url)
    if recall.scheme == "http":  # the sandbox on this machine
        media += f" http://{recall.netloc}"
    answer.headers["Content-Security-Policy"] = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{g.get('nonce') or secrets.token_urlsafe(16)}'",
            "img-src 'self' data:",
            f"media-src {media}",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    # Not no-referrer, with which browsers send no Origin either.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=()"
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.vary.add("Cookie")
    return answer


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {
        "csrf_field": _csrf_field,
        "logged_in": g.get("logged_in", False),
        "nonce": g.get("nonce", ""),
        "pages": [(request.script_root + path, label, _is_at(path)) for path, label in _PAGES],
    }


def _is_at(path: str) -> bool:
    return request.path == path or (path != "/" and request.path.startswith(f"{path}/"))


def _csrf_field() -> Markup:
    """Return the hidden input that every form carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, session["csrf"])
