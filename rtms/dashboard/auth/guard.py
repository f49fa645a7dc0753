"""What stands before and behind every route of the dashboard: who may come in, whether a POST is
theirs, and the headers of the answers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, abort, g, redirect, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from config import Config
from rtms import clock
from rtms.dashboard.auth import sessions
from rtms.dashboard.auth.keys import key_for
from rtms.dashboard.blueprint import WRONG_METHOD, blueprint
from rtms.dashboard.static import ASSETS
from rtms.services import services

CSRF_FIELD = "csrf_token"
_NOT_YOURS = (
    "This form was not sent from a page of your session. Go back, load the page again and repeat "
    "what you did."
)
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_NO_TEXT = "The part of the address behind its question mark is not UTF-8. Type it again."
_LOGIN = "dashboard.login"
_LARGEST_FORM = 16_384  # bytes
_PAGES = (("/", "Overview"), ("/meetings", "Meetings"), ("/events", "Events"))


@blueprint.before_request
def _guard() -> Answer | None:
    """Let in who is logged in, and take a POST only from a page of this session. Everything but
    the way in is guarded, whatever route it is."""
    request.max_content_length = _LARGEST_FORM
    g.nonce = secrets.token_urlsafe(16)
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        abort(400, _NO_TEXT)
    if request.endpoint == _LOGIN:
        return None
    recognise()
    if "session_token" not in g:
        return redirect(_way_in(), 303)
    if request.method not in _SAFE_METHODS:
        given = request.form.get(CSRF_FIELD, "")
        expected = _csrf_token(services().config, g.session_token)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            abort(403, _NOT_YOURS)
    return None


def recognise() -> None:
    """Set `g.session_token` where the request is of somebody who is logged in. The database is
    asked only about a cookie of ours.

    Raises:
        DatabaseUnavailable: nobody can tell.
    """
    its = services()
    token = sessions.token_of_request(its.config)
    if token is not None:
        with its.database.read() as connection:
            if sessions.stands(connection, token, now=clock.now()):
                g.session_token = token


def _way_in() -> str:
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
    """Set the headers that every answer of the dashboard has, and return it."""
    config = services().config
    media = "'self' https:"
    recall = urlsplit(config.recall_base_url)
    if recall.scheme == "http":  # a stand-in on this machine
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
    answer.headers.add("Vary", "Cookie")
    return answer


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {
        "csrf_field": _csrf_field,
        "logged_in": "session_token" in g,
        "nonce": g.get("nonce", ""),
        "pages": [(request.script_root + path, label, _is_at(path)) for path, label in _PAGES],
    }


def _is_at(path: str) -> bool:
    return request.path == path or (path != "/" and request.path.startswith(f"{path}/"))


def _csrf_field() -> Markup:
    """The hidden input that every form of ours carries."""
    token = _csrf_token(services().config, g.session_token)
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)


def _csrf_token(config: Config, token: str) -> str:
    return hmac.digest(key_for(config, "csrf"), token.encode(), hashlib.sha256).hex()
