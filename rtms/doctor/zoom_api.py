"""Checks that the Server-to-Server OAuth app may start streams."""

from __future__ import annotations

from collections.abc import Iterator

from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.services import Services
from rtms.zoom.stream_answers import SCOPE
from rtms.zoom.token_answers import NoToken

_ABOUT = "Zoom's API"
_LOST = "Until then a stream that is lost is not started again (docs/RESTARTS.md)."


def look(services: Services) -> Iterator[Finding]:
    """Get an access token and read its scopes, which changes nothing."""
    if services.zoom_api is None:
        yield ok(
            _ABOUT,
            "ZOOM_S2S_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID and ZOOM_S2S_CLIENT_SECRET are not set, so a "
            "stream that is lost is not started again.",
        )
        return
    try:
        yield judge_scopes(services.zoom_api.scopes())
    except NoToken as error:
        yield judge_no_token(error)


def judge_scopes(scopes: frozenset[str]) -> Finding:
    """Return whether a token's scopes suffice.

    Args:
        scopes: as Zoom's token endpoint lists them.
    """
    if SCOPE in scopes:
        return ok(_ABOUT, "The Server-to-Server OAuth app may start and stop streams.")
    return failure(
        _ABOUT,
        f"The Server-to-Server OAuth app's access token lacks the scope {SCOPE}.",
        f"Add it on the app's page *Scopes*, and activate the app again. {_LOST}",
    )


def judge_no_token(error: NoToken) -> Finding:
    """Return what the lack of a token means."""
    if error.passes:
        return warning(
            _ABOUT, str(error), f"Try again in a minute, and see status.zoom.us. {_LOST}"
        )
    return failure(_ABOUT, str(error), f"Correct that, and restart the server. {_LOST}")
