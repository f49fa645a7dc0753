"""Which outcome each of Zoom's answers to a request for a stream is. Pure."""

from __future__ import annotations

from rtms.http.answer import HttpAnswer
from rtms.zoom.stream_outcomes import (
    Accepted,
    NotAllowed,
    NotLive,
    OutcomeUnknown,
    StreamOutcome,
    TryLater,
)

SCOPE = "meeting:update:participant_rtms_app_status:admin"

_NOT_LIVE = 3000
# Zoom: RTMS error codes. None of these changes before a person does something.
_NOT_ALLOWED = {
    2308: "the user of the stream is neither the meeting's host, nor an alternative host or "
    "invitee who has joined: choose another user, or ask again when the user has joined",
    2310: "the account has no Developer Pack, or an expired one, or it is a Basic account: see the "
    "account's billing page at Zoom. A new pack takes a minute or two",
    4711: f"the Server-to-Server OAuth app lacks the scope {SCOPE}: add it on the app's page "
    "*Scopes*, activate the app again, and restart the server",
}
_NO_SUCH_MEETING = (
    "there is no such live meeting. It has not begun, is over, or belongs to another account than "
    "ZOOM_S2S_ACCOUNT_ID"
)
_FORBIDDEN = (
    "the Server-to-Server OAuth app may not change this meeting: it reaches only the meetings of "
    "its own account (ZOOM_S2S_ACCOUNT_ID)"
)
_UNAUTHORIZED = (
    "it refused a new access token: check on the Server-to-Server OAuth app's page that the app is "
    "activated"
)


def stream_outcome(answer: HttpAnswer, *, hide: tuple[str, ...]) -> StreamOutcome:
    """Return the outcome of a request to start or stop a stream from Zoom's answer.

    Args:
        hide: secrets that must not appear in it.
    """
    status, text = answer.status, answer.text(hide)
    if status in (202, 204):
        return Accepted()
    said = f"Zoom answered {status}:"
    if status < 300:
        return OutcomeUnknown(
            error=f"{said} its API would answer 204, so this is perhaps another program. Check "
            f"ZOOM_API_URL, and the proxy if there is one. {text}"
        )
    if status == 429:
        return TryLater(
            error=f"{said} too many requests. {text}",
            retry_after=answer.retry_after(),
            is_rate_limit=True,
        )
    if status >= 500:
        return TryLater(error=f"{said} it had an error. {text}", retry_after=answer.retry_after())
    code = (answer.json() or {}).get("code")
    code = code if isinstance(code, int) else None
    if code == _NOT_LIVE:
        return NotLive(error=f"{said} {_NO_SUCH_MEETING} (3000). {text}")
    if code in _NOT_ALLOWED:
        return NotAllowed(error=f"{said} {_NOT_ALLOWED[code]} ({code}). {text}")
    if status == 401:
        return NotAllowed(error=f"{said} {_UNAUTHORIZED}. {text}")
    if status == 403:
        return NotAllowed(error=f"{said} {_FORBIDDEN}. {text}")
    if status == 408:
        return OutcomeUnknown(error=f"{said} it timed out waiting for the request. {text}")
    return NotAllowed(error=f"{said} it does not accept the request. {text}")
