"""The pages for a user who installs the app: the beginning, and the OAuth Redirect URL."""

from __future__ import annotations

import hmac
import secrets
import threading
from functools import cache
from pathlib import Path

import structlog
from flask import Blueprint, Response, make_response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from config import Config
from rtms import VERSION
from rtms.db.errors import DatabaseUnavailable
from rtms.services import Services, get_services
from rtms.zoom.token_answers import NoToken

CALLBACK_PATH = "/oauth-callback/zoom"
_STYLE = Path(__file__).parents[1] / "dashboard" / "assets" / "style.css"
_CANCELLED = "access_denied"  # RFC 6749: the user refused
_STATE_SECONDS = 600
_STATE_BYTES = 32
# Anybody can open these pages, so what they cost is limited. There are two requests to Zoom.
_TIMEOUT = 2.0  # seconds for each
_room = threading.BoundedSemaphore(8)  # installations of this process at the same time
_STATUSES = {
    "installed": 200,
    "connected": 200,
    "cancelled": 200,
    "failed": 400,
    "unknown": 400,
    "without_tokens": 502,
    "not_stored": 503,
    "busy": 503,
    "not_offered": 404,
}

log = structlog.get_logger()

blueprint = Blueprint("installation", __name__, template_folder="templates")


@blueprint.get("/install")
def install() -> Answer:
    """Send a user to Zoom's page that allows the app. Only where the tokens can be kept."""
    services = get_services()
    if not _is_offered(services):
        return _page("not_offered")
    config = services.config
    state = secrets.token_urlsafe(_STATE_BYTES)
    oauth = services.user_oauth(timeout=_TIMEOUT)
    answer = redirect(oauth.authorize_url(redirect_uri=_redirect_uri(config), state=state), 302)
    answer.set_cookie(
        _cookie_name(config),
        state,
        max_age=_STATE_SECONDS,
        path=_cookie_path(config),
        secure=_is_https(config),
        httponly=True,
        samesite="Lax",
    )
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get(CALLBACK_PATH)
def callback() -> Response:
    """Say whether the app was installed. The query is neither shown nor logged: its `code` is a
    secret."""
    services = get_services()
    answer = _page(_outcome(services), can_begin=_is_offered(services))
    if _cookie_name(services.config) in request.cookies:  # a state is good once
        answer.delete_cookie(
            _cookie_name(services.config),
            path=_cookie_path(services.config),
            secure=_is_https(services.config),
            httponly=True,
            samesite="Lax",
        )
    return answer


def _outcome(services: Services) -> str:
    error = request.args.get("error")
    if error:
        return "cancelled" if error == _CANCELLED else "failed"
    state, code = request.args.get("state"), request.args.get("code")
    # Without a state, the installation was begun in Zoom. Its code is not used: another site could
    # have sent the browser here, with a code of somebody else's.
    if not _is_offered(services) or not state:
        return "installed"
    # No table keeps the state: it is random and in this browser's cookie only, which the answer
    # deletes, and Zoom takes a code once.
    kept = request.cookies.get(_cookie_name(services.config), "")
    if not code or not hmac.compare_digest(state.encode(), kept.encode()):
        log.warning("the app was not installed", error="the state is not that of this browser")
        return "unknown"
    return _install(services, code)


def _install(services: Services, code: str) -> str:
    from rtms.zoom_users.installing import install

    assert services.token_cipher
    if not _room.acquire(timeout=1.0):
        return "busy"
    try:
        install(
            services.database,
            services.user_oauth(timeout=_TIMEOUT),
            services.token_cipher,
            code=code,
            redirect_uri=_redirect_uri(services.config),
        )
    except NoToken as error:
        log.warning("the app was not installed", error=str(error))
        return "without_tokens"
    except DatabaseUnavailable as error:
        log.error("the app was not installed", error=str(error))
        return "not_stored"
    finally:
        _room.release()
    return "connected"


def _is_offered(services: Services) -> bool:
    return services.token_cipher is not None and services.config.public_url is not None


def _redirect_uri(config: Config) -> str:
    return f"{config.public_url}{CALLBACK_PATH}"


def _is_https(config: Config) -> bool:
    return (config.public_url or "").startswith("https://")


def _cookie_name(config: Config) -> str:
    return "__Secure-rtms_install" if _is_https(config) else "rtms_install"


def _cookie_path(config: Config) -> str:
    return f"{config.path}{CALLBACK_PATH}"


def _page(outcome: str, *, can_begin: bool = False) -> Response:
    nonce = secrets.token_urlsafe(16)
    page = render_template(
        "installation.html",
        outcome=outcome,
        can_begin=can_begin,
        nonce=nonce,
        style=_style(),
        version=VERSION,
    )
    answer = make_response(page, _STATUSES[outcome])
    answer.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'none'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Referrer-Policy"] = "no-referrer"  # the address has the code
    answer.headers["Cache-Control"] = "no-store"
    return answer


@cache
def _style() -> Markup:
    """Return the dashboard's style sheet. It contains no input, so nothing is escaped."""
    return Markup(_STYLE.read_text())  # noqa: S704
