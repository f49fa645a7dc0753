"""Why an answer of Zoom's token endpoint has no token (Zoom: Server-to-Server OAuth). Pure.

Texts contain codes rather than Zoom's words: a damaged answer may contain a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtms.http.answer import HttpAnswer

_WHO = "Zoom's token endpoint"
_INVALID_GRANT = "invalid_grant"  # RFC 6749: a spent or ended code or refresh token


@dataclass(frozen=True)
class Refusals:
    """What Zoom's refusals of one kind of token mean."""

    known: Mapping[str, str]  # by Zoom's code
    other: str
    next_step: str


OF_SERVER_TO_SERVER = Refusals(
    {
        "invalid_client": (
            "does not know the client ID and secret: copy ZOOM_S2S_CLIENT_ID and "
            "ZOOM_S2S_CLIENT_SECRET again from the app's page *App Credentials*"
        ),
        "invalid_request": (
            "does not accept the account ID for this app: copy ZOOM_S2S_ACCOUNT_ID again from the "
            "app's page *App Credentials*"
        ),
        "unsupported_grant_type": (
            "knows the app, but not as a Server-to-Server OAuth app: ZOOM_S2S_CLIENT_ID and "
            "ZOOM_S2S_CLIENT_SECRET must be of one, not of the app that receives the streams"
        ),
    },
    "refused to give a token: check ZOOM_S2S_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID and "
    "ZOOM_S2S_CLIENT_SECRET",
    "See on the app's page *Activation* that it is activated.",
)
OF_USERS = Refusals(
    {
        "invalid_client": (
            "does not know the client ID and secret: copy ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET "
            "again from the app's page *Basic Information*"
        ),
        _INVALID_GRANT: (
            "no longer accepts what the user granted: it was used before, it is too old, or the "
            "user removed the app"
        ),
    },
    "refused to give a user's token: check ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET, and the app's "
    "OAuth Redirect URL",
    "The user must install the app again.",
)


class NoToken(Exception):
    """Zoom gave no access token. The message says why and what to do."""

    def __init__(
        self,
        message: str,
        *,
        passes: bool = True,
        retry_after: float | None = None,
        is_rate_limit: bool = False,
        is_invalid_grant: bool = False,
    ) -> None:
        super().__init__(message)
        self.passes = passes  # False: a person must first fix what the message names
        self.retry_after = retry_after  # seconds
        self.is_rate_limit = is_rate_limit  # 429
        self.is_invalid_grant = is_invalid_grant  # the user must install the app again


def why_no_token(answer: HttpAnswer, refusals: Refusals = OF_SERVER_TO_SERVER) -> NoToken | None:
    """Return why an answer has no usable token; None where it has one."""
    status = answer.status
    if status == 429 or status >= 500:
        what = "it gets too many requests" if status == 429 else "it had an error"
        return NoToken(
            f"{_WHO} answered {status}: {what}.",
            retry_after=answer.retry_after(),
            is_rate_limit=status == 429,
        )
    if 300 <= status < 400:
        return NoToken(
            f"{_WHO} redirects, and another address must not get the client secret: check "
            "ZOOM_OAUTH_URL.",
            passes=False,
        )
    body = answer.json()
    if body is None:
        return NoToken(
            f"{_WHO} did not answer with JSON ({status}): check ZOOM_OAUTH_URL, and the proxy if "
            "there is one.",
            passes=status == 200,  # such as a page that says that Zoom is being maintained
        )
    if status != 200 or "error" in body:
        return _refused(status, body.get("error"), refusals)
    value, seconds = body.get("access_token"), body.get("expires_in")
    is_text = isinstance(value, str) and value.isascii() and value.isprintable() and value != ""
    if not is_text or not _is_lifetime(seconds):
        return NoToken(f"{_WHO} gave no access token: check ZOOM_OAUTH_URL.")
    return None


def _is_lifetime(seconds: object) -> bool:
    """Return whether a token's lifetime is usable: absent, or seconds up to some months."""
    return seconds is None or (isinstance(seconds, int) and 0 <= seconds <= 10_000_000)


def _refused(status: int, error: object, refusals: Refusals) -> NoToken:
    known = refusals.known.get(error) if isinstance(error, str) else None
    return NoToken(
        f"{_WHO} {known or refusals.other}. {refusals.next_step} "
        f"({status}, {error if known else 'without a known code'})",
        passes=False,
        is_invalid_grant=error == _INVALID_GRANT,
    )
