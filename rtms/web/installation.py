"""The page that a user sees after adding the app in Zoom: the OAuth Redirect URL."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, make_response, render_template, request
from markupsafe import Markup

from rtms import VERSION

CALLBACK_PATH = "/oauth-callback/zoom"
_STYLE = Path(__file__).parents[1] / "dashboard" / "assets" / "style.css"
_CANCELLED = "access_denied"  # RFC 6749: the user refused

blueprint = Blueprint("installation", __name__, template_folder="templates")


@blueprint.get(CALLBACK_PATH)
def callback() -> Response:
    """Say whether the app was installed. The query is neither shown nor logged: its `code` is a
    secret."""
    error = request.args.get("error")
    outcome = "failed" if error else "installed"
    if error == _CANCELLED:
        outcome = "cancelled"
    nonce = secrets.token_urlsafe(16)
    page = render_template(
        "installation.html", outcome=outcome, nonce=nonce, style=_style(), version=VERSION
    )
    answer = make_response(page, 400 if outcome == "failed" else 200)
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
