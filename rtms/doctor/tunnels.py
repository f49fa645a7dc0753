"""What stands at an address when it is not this server. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rtms.doctor.probe import ProbeAnswer

_REDIRECTS = (301, 302, 303, 307, 308)
_NGROK = {  # ngrok: error codes
    "ERR_NGROK_3200": (
        "ngrok knows the name, and no tunnel of that name is open.",
        "Start it: `ngrok http --url=<the name> 8000`, with the port that the server listens on.",
    ),
    "ERR_NGROK_6024": (
        "ngrok's browser warning answers in place of the server.",
        "It is shown to browsers only, so a proxy between may change the User-Agent.",
    ),
    "ERR_NGROK_8012": (
        "ngrok's tunnel is open, and nothing answers at its other end.",
        "Start the server, and give ngrok the port that it listens on (PORT, 8000 by default).",
    ),
}


def explain(answer: ProbeAnswer) -> tuple[str, str] | None:
    """What was found and what to do about it, where somebody else answers; None where it may be
    this server."""
    code = answer.headers.get("Ngrok-Error-Code", "")
    if re.fullmatch(r"ERR_NGROK_\d{1,6}", code):
        return _NGROK.get(
            code,
            (
                f"ngrok answers in place of the server: {code}.",
                f"See https://ngrok.com/docs/errors/{code.lower()}, and restart the tunnel.",
            ),
        )
    if answer.status in _REDIRECTS:
        return (
            f"The address redirects ({answer.status}) to {_place(answer)}. Zoom follows no "
            "redirect.",
            "Set PUBLIC_URL, and the address in Zoom, to where the server itself answers: mostly "
            "https instead of http, or with or without www, and without a slash at the end.",
        )
    if answer.status in (502, 503, 504) and answer.json() is None:
        return (
            f"A proxy or a platform answers {answer.status}: it finds no server behind it.",
            "Start the server, and see that the proxy has its port (PORT, 8000 by default).",
        )
    if _is_page(answer):
        return (
            f"A web page answers ({answer.status}), not this server: a warning of the tunnel's, a "
            "login page, or another program.",
            "Open the address in a browser to see whose page it is. Start the tunnel with this "
            "server's port, or take the login away from /zoom-webhook.",
        )
    if answer.status in (404, 405):
        return (
            f"The address has no such route ({answer.status}): another program answers there.",
            "PUBLIC_URL is the server's address without /zoom-webhook; check the tunnel's port.",
        )
    return None


def _is_page(answer: ProbeAnswer) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or answer.text.lstrip()[:9].lower() in (
        "<!doctype",
        "<html>",
    )


def _place(answer: ProbeAnswer) -> str:
    """Where a redirect leads, without what its path and query may hold."""
    try:
        parts = urlsplit(answer.headers.get("Location", ""))
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or not host.isprintable():
        return "another path"
    return f"{parts.scheme or 'https'}://{host[:100]}"
