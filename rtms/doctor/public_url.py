"""The public address, tried as Zoom would, and as an attacker would."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from config import Config
from rtms.doctor import signing_oracle, tunnels
from rtms.doctor.configuration import is_loopback
from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.doctor.probe import Endpoint, ProbeAnswer, encode, signed
from rtms.http.session import NETWORK_ERRORS, CannotBeSent, network_error_text
from rtms.zoom import signature

_ADDRESS, _CHALLENGE, _FORGERY, _READY = "public address", "challenge", "forgery", "readyz"
_ZOOM_WAITS = 3.0  # seconds (Zoom: webhook delays)
_SLOW = 1.5  # seconds


def look(config: Config) -> Iterator[Finding]:
    """Find out whether Zoom can reach the server, and whether the server believes only Zoom."""
    url = config.public_url
    if not url:
        yield warning(
            _ADDRESS,
            "PUBLIC_URL is not set, so whether Zoom can reach the server was not tried.",
            "Set PUBLIC_URL to the address that Zoom has, without /zoom-webhook.",
        )
        return
    yield from _scheme(url)
    with Endpoint(url) as endpoint:
        try:
            yield from _try(endpoint, config)
        except CannotBeSent as error:
            yield failure(
                _ADDRESS,
                f"{url} cannot be tried from here: {error}.",
                "Fix that where this command is run. Zoom itself needs none of it.",
            )
        except NETWORK_ERRORS as error:
            yield failure(
                _ADDRESS,
                f"{url} could not be reached: {network_error_text(error)}.",
                "See that the server and the tunnel or proxy run, and that the name in PUBLIC_URL "
                f"is right. From another machine: `curl -i {url}/healthz`.",
            )


def judge_challenge(answer: ProbeAnswer, expected: dict[str, str]) -> Finding:
    """Judge whether the challenge was answered as Zoom wants it.

    Args:
        answer: the endpoint's.
        expected: what it should say.
    """
    if answer.status == 401:
        return failure(
            _CHALLENGE,
            "A challenge that was signed rightly was refused (401).",
            "The server there has another ZOOM_SECRET_TOKEN than is set here, or its clock is "
            "wrong. Give both the same, restart it, and see its log.",
        )
    body = answer.json() or {}
    told = body.get("encryptedToken")
    if answer.status != 200 or not isinstance(told, str):
        return failure(
            _CHALLENGE,
            f"The challenge was answered with {answer.status}, and not with an encryptedToken.",
            "Something else than this server answers at /zoom-webhook, or an old version of it.",
        )
    if not (
        hmac.compare_digest(told.encode(), expected["encryptedToken"].encode())
        and body.get("plainToken") == expected["plainToken"]
    ):
        return failure(
            _CHALLENGE,
            "The challenge was answered with a wrong encryptedToken: Zoom will not accept it.",
            "The server there has another ZOOM_SECRET_TOKEN than is set here.",
        )
    return _in_time(answer.seconds)


def _in_time(seconds: float) -> Finding:
    found = f"A signed challenge is answered rightly, in {seconds:.2f} seconds."
    if seconds > _ZOOM_WAITS:
        return failure(
            _CHALLENGE,
            f"{found} Zoom waits three seconds, so it counts as not delivered.",
            "Choose a plan on which the server never sleeps, and see that the machine is not "
            "overloaded.",
        )
    if seconds > _SLOW:
        return warning(
            _CHALLENGE,
            f"{found} Zoom waits three seconds.",
            "Run the server nearer to Zoom's, or on a plan that does not sleep.",
        )
    return ok(_CHALLENGE, found)


def _scheme(url: str) -> Iterator[Finding]:
    if is_loopback(url):
        yield warning(
            _ADDRESS,
            f"PUBLIC_URL is {url}, which only this machine can reach.",
            "Set it to the https address that Zoom has: of the tunnel or of the platform.",
        )
    elif urlsplit(url).scheme != "https":
        yield failure(
            _ADDRESS,
            f"PUBLIC_URL is {url}, and Zoom only takes an https address.",
            "Put a platform, a proxy or a tunnel that speaks TLS in front, and set its address.",
        )


def _try(endpoint: Endpoint, config: Config) -> Iterator[Finding]:
    # The challenge first: it meets a server that sleeps as Zoom would.
    token = config.zoom_secret_tokens[0]
    asked = {
        "event": signature.CHALLENGE_EVENT,
        "event_ts": int(time.time() * 1000),
        "payload": {"plainToken": secrets.token_hex(11)},
    }
    raw = encode(asked)
    answer = endpoint.post(raw, signed(token, str(int(time.time())), raw))
    stranger = tunnels.explain(answer)
    if stranger:  # it may be anyone's: ask it nothing more
        yield failure(_CHALLENGE, *stranger)
        return
    yield judge_challenge(answer, signature.answer_challenge(asked, token))
    yield judge_ready(endpoint.get("/readyz"))
    yield _forgery(endpoint)
    yield signing_oracle.look(endpoint, config.zoom_secret_tokens)


def judge_ready(answer: ProbeAnswer) -> Finding:
    """Judge whether the server there says that it can work."""
    status = (answer.json() or {}).get("status")
    if answer.status == 200 and status == "ready":
        return ok(_READY, "The server there is ready.")
    if answer.status == 503 and status == "not ready":
        return failure(
            _READY,
            "The server there is not ready: deliveries are refused, or no process connects them.",
            "Open /readyz there: it says what is wrong, in words.",
        )
    return warning(
        _READY,
        f"/readyz was answered with {answer.status}, and not as this server does.",
        "If a proxy lets only /zoom-webhook through, that is all right. Otherwise something else "
        "than this server answers there.",
    )


def _forgery(endpoint: Endpoint) -> Finding:
    """Send deliveries that are not Zoom's, of an event that means nothing."""
    raw = encode({"event": "doctor.forged", "event_ts": int(time.time() * 1000), "payload": {}})
    tried = {
        "a wrong signature": signed(secrets.token_hex(16), str(int(time.time())), raw),
        "no signature": {},
    }
    for what, headers in tried.items():
        answer = endpoint.post(raw, headers)
        if answer.status < 300:
            return failure(
                _FORGERY,
                f"A delivery with {what} was accepted ({answer.status}): anyone can start "
                "recordings that you pay for.",
                "What answers there does not check Zoom's signatures: it is not this server, or "
                "something before it answers in its place.",
            )
        if answer.status != 401:
            return warning(
                _FORGERY,
                f"A delivery with {what} was refused with {answer.status}; this server says 401.",
                "See that PUBLIC_URL leads to this server, and what a proxy does with POST.",
            )
    return ok(_FORGERY, "Deliveries that are not signed by Zoom are refused.")
