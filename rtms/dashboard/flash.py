"""What came of a POST: a message that the next page shows once."""

from __future__ import annotations

from typing import Literal

from flask import Response, flash

Kind = Literal["good", "warn", "bad"]

_LONGEST = 600  # characters: browsers keep cookies of up to 4096 bytes


def redirect_with(url: str, text: str, kind: Kind) -> Response:
    """Send a browser to another page, after a POST, with a message for it.

    Args:
        url: a path of the dashboard.
        text: what came of it, in plain text; what is too long for a cookie is cut off.
        kind: `good`, `warn` or `bad`, which is announced at once.
    """
    flash(text[:_LONGEST], kind)
    return Response(status=303, headers={"Location": url})
