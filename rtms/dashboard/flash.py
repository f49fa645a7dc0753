"""The result of a POST: a message that the next page shows once."""

from __future__ import annotations

from typing import Literal

from flask import Response, flash

Kind = Literal["good", "warn", "bad"]

_LONGEST = 600  # characters: browsers keep cookies of up to 4096 bytes


def redirect_with(url: str, text: str, kind: Kind) -> Response:
    """Return a redirect after a POST, with a message for the next page.

    Args:
        url: a path of the dashboard.
        text: the result, in plain text. It is truncated to fit into a cookie.
        kind: `good`, `warn` or `bad`. Screen readers announce `bad` at once.
    """
    flash(text[:_LONGEST], kind)
    return Response(status=303, headers={"Location": url})
