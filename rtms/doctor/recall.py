"""Checks that Recall accepts our API key, and that our clock agrees with Recall's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from config import RECALL_REGIONS, Config
from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.http.session import (
    NETWORK_ERRORS,
    CannotBeSent,
    Session,
    join,
    network_error_text,
    origin,
)
from rtms.recall.client import CREATE_PATH

_ABOUT = "Recall"
_CLOCK = "clock"
_PATIENCE = (3.0, 5.0)  # seconds to connect, and for each read
_REDIRECTS = (301, 302, 303, 307, 308)
_APART = 5.0  # seconds that the clocks may differ without a warning

_ASK_SUPPORT = "Try again in a minute. If it persists, see status.recall.ai, or ask its support."


def look(config: Config) -> Iterator[Finding]:
    """Ask Recall for a list with one entry, which needs the key and changes nothing."""
    address = config.recall_base_url
    with Session() as session:
        session.headers["Accept"] = "application/json"
        began = time.time()
        try:
            answer = _ask(session, config, f"{address}{CREATE_PATH}?page_size=1")
            if answer.status_code in _REDIRECTS:
                target = join(answer.url, answer.headers.get("Location", ""))
                if origin(target) is not None and origin(target) == origin(address):
                    began = time.time()
                    answer = _ask(session, config, target)
        except CannotBeSent as error:
            yield failure(
                _ABOUT,
                f"{address} cannot be called: {error}.",
                "Fix that in the server's environment, and restart it. Until then no meeting is "
                "connected.",
            )
            return
        except NETWORK_ERRORS as error:
            yield failure(
                _ABOUT,
                f"{address} could not be reached: {network_error_text(error)}.",
                "Check this machine's network, DNS, firewall and proxy, and RECALL_BASE_URL if it "
                "is set. Until then no meeting is connected.",
            )
            return
    yield judge_answer(answer.status_code, address)
    date = _moment(answer.headers)
    if date is None:
        yield warning(_CLOCK, "Recall's answer has no time to compare with.", "Nothing to do.")
        return
    yield judge_clock(
        apart(began, time.time(), date.timestamp()), config.signature_tolerance_seconds
    )


def judge_answer(status: int, address: str) -> Finding:
    """Return what Recall's answer says about the API key.

    Args:
        status: of the answer.
        address: the URL that was called.
    """
    region = next((name for name, url in RECALL_REGIONS.items() if url == address), address)
    if status == 200:
        return ok(_ABOUT, f"{region} accepts the API key.")
    if status == 401:
        others = ", ".join(name for name in RECALL_REGIONS if name != region)
        return failure(
            _ABOUT,
            f"{region} does not know this API key (401). It is wrong, or from another region.",
            "The address of Recall's dashboard names the region. Set RECALL_REGION to it "
            f"({others}), or copy RECALL_API_KEY again. Then restart.",
        )
    if status == 402:
        return failure(
            _ABOUT,
            f"{region} accepts the API key, but the workspace has no credit left (402).",
            "Add credit in Recall's dashboard.",
        )
    if status == 403:
        return failure(
            _ABOUT,
            f"{region} refuses the call (403): the key lacks permission, or a firewall blocks it.",
            "Create a new key in Recall's dashboard, and check your proxy if there is one.",
        )
    if status == 429:
        return warning(
            _ABOUT,
            f"{region} gets too many calls (429), so the API key was not checked.",
            "Try again in a minute.",
        )
    if status >= 500:
        return warning(_ABOUT, f"{region} has an internal error ({status}).", _ASK_SUPPORT)
    if status in _REDIRECTS:
        return failure(
            _ABOUT,
            f"{address} redirects to another host, which must not get the API key.",
            "Remove RECALL_BASE_URL and set RECALL_REGION.",
        )
    return failure(
        _ABOUT,
        f"{address} answered {status}, so it is not Recall but another program.",
        "Remove RECALL_BASE_URL and set RECALL_REGION. Check your proxy if there is one.",
    )


def apart(asked_at: float, answered_at: float, date: float) -> float:
    """Return by how many seconds our clock is ahead at least; negative if behind.

    Args:
        asked_at: our Unix time before the request.
        answered_at: our Unix time after the answer.
        date: the Unix time in the answer's `Date` header, in whole seconds.
    """
    if asked_at - (date + 1) > 0:
        return asked_at - (date + 1)
    return min(answered_at - date, 0.0)


def judge_clock(ahead: float, tolerance: float) -> Finding:
    """Return whether this machine's clock is accurate enough.

    Args:
        ahead: seconds by which it is ahead of Recall's; negative if behind.
        tolerance: seconds by which a delivery's clock may differ (SIGNATURE_TOLERANCE_SECONDS).
    """
    if abs(ahead) <= _APART:
        return ok(_CLOCK, "This machine's clock agrees with Recall's.")
    found = (
        f"This machine's clock is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} "
        "Recall's."
    )
    next_step = "Turn on time synchronisation (NTP): `timedatectl set-ntp true` on most Linux."
    if abs(ahead) > tolerance:
        return failure(
            _CLOCK, f"{found} Zoom's deliveries are refused as too old or too new (401).", next_step
        )
    return warning(_CLOCK, f"{found} It measures the 60 seconds that Zoom waits.", next_step)


def _ask(session: Session, config: Config, url: str) -> requests.Response:
    with session.get(
        url,
        # An explicit auth keeps requests from replacing the header with a password from .netrc.
        auth=lambda request: _signed(request, config.recall_api_key),
        timeout=_PATIENCE,
        allow_redirects=False,
        stream=True,  # the body is not needed
    ) as answer:
        return answer


def _signed(request: requests.PreparedRequest, key: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Token {key}"
    return request


def _moment(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
