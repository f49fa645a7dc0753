"""A sentence that the next page shows once: what came of what somebody has just done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flask import Response, g, redirect, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from rtms.dashboard.auth.keys import key_for
from rtms.dashboard.blueprint import blueprint
from rtms.services import services

Kind = Literal["good", "warn", "bad"]

_COOKIE = "rtms_notice"
_LIFETIME = 60  # seconds
_LONGEST = 600  # characters: browsers keep cookies of up to 4096 bytes


@dataclass(frozen=True)
class Notice:
    """What is shown at the top of a page: `bad` is announced at once, the others politely."""

    text: str
    kind: Kind


def redirect_with(url: str, text: str, kind: Kind) -> Response:
    """Send a browser to another page, after a POST, with a notice for it.

    Args:
        url: a path of the dashboard.
        text: what came of it, in plain text; what is too long for a cookie is cut off.
        kind: `good`, `warn` or `bad`.
    """
    answer = Response(status=303, headers={"Location": redirect(url).headers["Location"]})
    answer.set_cookie(
        _COOKIE,
        _serializer().dumps([text[:_LONGEST], kind]),
        max_age=_LIFETIME,
        **_cookie_is(),
    )
    return answer


@blueprint.app_context_processor
def _show() -> dict[str, Notice | None]:
    cookie = request.cookies.get(_COOKIE)
    if not cookie:
        return {"notice": None}
    g.notice_was_shown = True
    try:
        text, kind = _serializer().loads(cookie, max_age=_LIFETIME)
    except BadSignature:
        return {"notice": None}
    return {"notice": Notice(text, kind)}


@blueprint.after_request
def _show_once(answer: Response) -> Response:
    if g.pop("notice_was_shown", False):
        answer.delete_cookie(_COOKIE, **_cookie_is())
    return answer


def _cookie_is() -> dict[str, Any]:
    return {
        "path": request.script_root or "/",
        "httponly": True,
        "samesite": "Lax",
        "secure": request.is_secure,
    }


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key_for(services().config, "notice"))
