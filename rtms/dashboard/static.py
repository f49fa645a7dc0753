"""The style sheet and the scripts, read once and kept in memory."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Response, abort, url_for
from markupsafe import Markup

from rtms import VERSION
from rtms.dashboard.blueprint import blueprint

ASSETS = "assets"  # the endpoint, without the blueprint's name
_FOLDER = Path(__file__).parent / "assets"
_TYPES = {".css": "text/css", ".js": "text/javascript"}


@blueprint.get("/assets/<name>", endpoint=ASSETS)
def assets(name: str) -> Response:
    """Serve a file. Its URL contains a hash of its content, so it may be cached forever."""
    if name not in _files():
        abort(404)
    answer = Response(_files()[name], mimetype=_TYPES[Path(name).suffix])
    answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return answer


@blueprint.app_context_processor
def _for_templates() -> dict[str, Any]:
    return {"asset": _asset, "inline_style": _inline_style, "version": VERSION}


def _asset(name: str) -> str:
    """Return the URL of a file."""
    version = hashlib.sha256(_files()[name]).hexdigest()[:12]
    return url_for(f"{blueprint.name}.{ASSETS}", name=name, v=version)


def _inline_style() -> Markup:
    """Return the style sheet for pages without a login, which cannot fetch it. It contains no
    input, so nothing is escaped."""
    return Markup(_files()["style.css"].decode())  # noqa: S704


@cache
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
