"""Recognises what answers at the public address if it is not this server. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rtms.doctor.probe import ProbeAnswer

_REDIRECTS = (301, 302, 303, 307, 308)
_NGROK = {  # ngrok: error codes
    "ERR_NGROK_3200": (
        "ngrok has no open tunnel with this name.",
        "Start it: `ngrok http --url=<name> 8000`, with the port that the server listens on.",
    ),
    "ERR_NGROK_6024": (
        "ngrok's browser warning answers instead of the server.",
        "ngrok shows it only to browsers, so check for a proxy that changes the User-Agent.",
    ),
    "ERR_NGROK_8012": (
        "ngrok's tunnel is open, but nothing answers at its other end.",
        "Start the server, and give ngrok the port that it listens on (PORT, 8000 by default).",
    ),
}


def explain(answer: ProbeAnswer) -> tuple[str, str] | None:
    """Return what was found and what to do, or None if the answer may be this server's."""
    code = answer.headers.get("Ngrok-Error-Code", "")
    if re.fullmatch(r"ERR_NGROK_\d{1,6}", code):
        return _NGROK.get(
            code,
            (
                f"ngrok answers instead of the server: {code}.",
                f"See https://ngrok.com/docs/errors/{code.lower()}, and restart the tunnel.",
            ),
        )
    if answer.status in _REDIRECTS:
        return (
            f"The address redirects ({answer.status}) to {_place(answer)}. Zoom does not follow "
            "redirects.",
            "Set PUBLIC_URL, and the address in Zoom, to where the server itself answers. Check "
            "https or http, www or not, and a slash at the end.",
        )
    if answer.status in (502, 503, 504) and answer.json() is None:
        return (
            f"A proxy or platform answers {answer.status}: it cannot reach the server.",
            "Start the server, and check the proxy's port (PORT, 8000 by default).",
        )
    if _is_page(answer):
        return (
            f"A web page answers ({answer.status}), not this server: a tunnel's warning, a login "
            "page, or another program.",
            "Open the address in a browser to see the page. Point the tunnel to this server's "
            "port, or remove the login from /zoom-webhook.",
        )
    if answer.status in (404, 405):
        return (
            f"The address has no such route ({answer.status}), so another program answers there.",
            "Check the tunnel's port, and that PUBLIC_URL does not end with /zoom-webhook.",
        )
    return None


def _is_page(answer: ProbeAnswer) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or answer.text.lstrip()[:9].lower() in (
        "<!doctype",
        "<html>",
    )


def _place(answer: ProbeAnswer) -> str:
    """Return where a redirect leads, without its path and query, which may hold secrets."""
    try:
        parts = urlsplit(answer.headers.get("Location", ""))
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or not host.isprintable():
        return "another path"
    return f"{parts.scheme or 'https'}://{host[:100]}"
