"""Zoom's signatures: verify deliveries, answer the URL-validation challenge, sign joins.

Pure functions: no Flask, no database, no clock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rtms.payload import BadSignature

CHALLENGE_EVENT = "endpoint.url_validation"
_MAX_PLAIN_TOKEN = 256  # characters


class BadChallenge(Exception):
    """The challenge is not one that Zoom would send, so it must not be answered."""


def verify(
    tokens: Sequence[str],
    *,
    timestamp: str,
    signature: str,
    raw: bytes,
    body: dict[str, Any],
    now: float,
    tolerance: float,
) -> str:
    """Check a delivery's signature and age (Zoom: verify webhook events).

    Args:
        tokens: the app's secret tokens, several while one is rotated.
        timestamp: the header `x-zm-request-timestamp`, Unix seconds.
        signature: the header `x-zm-signature`, `v0=<hex>`.
        raw: the body's bytes as received.
        body: the same, decoded.
        now: our clock, Unix seconds.
        tolerance: how many seconds the two clocks may differ, either way.

    Returns:
        The token that verified the delivery.

    Raises:
        BadSignature: the signature is missing, too old, from the future, or does not match.
    """
    if not timestamp or not signature:
        raise BadSignature(
            "The headers x-zm-signature and x-zm-request-timestamp are missing: "
            "only Zoom's signed deliveries are accepted."
        )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("The header x-zm-request-timestamp is not a Unix time in seconds.")
    apart = now - int(timestamp)
    if abs(apart) > tolerance:
        when = "ago" if apart > 0 else "ahead"
        raise BadSignature(
            f"The delivery was signed {abs(apart):.0f} s {when}; {tolerance:.0f} s are allowed. "
            "If Zoom has just sent it, correct this machine's clock."
        )
    prefix = f"v0:{timestamp}:".encode()
    given = signature.encode("utf-8", "surrogatepass")
    for message in _signed_forms(raw, body):
        for token in tokens:
            expected = f"v0={hex_hmac(token, prefix + message)}".encode()
            if hmac.compare_digest(expected, given):
                return token
    raise BadSignature(
        "The signature does not match. If Zoom sent this, ZOOM_SECRET_TOKEN is not this app's "
        "Secret Token."
    )


def answer_challenge(body: dict[str, Any], token: str) -> dict[str, str]:
    """Answer Zoom's URL validation (Zoom: validate your webhook endpoint).

    The challenge's answer and a delivery's signature are the same function of the same key, so
    answering any text would sign a forged delivery. Signed messages start with `v0:`, so only
    short, printable tokens without a colon are answered.

    Args:
        body: the challenge.
        token: the secret token to answer with.

    Raises:
        BadChallenge: the plainToken is missing, or is not a token.
    """
    payload = body.get("payload")
    plain = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(plain, str) or not plain:
        raise BadChallenge("The challenge has no payload.plainToken to answer.")
    printable = plain.isascii() and plain.isprintable()
    if ":" in plain or len(plain) > _MAX_PLAIN_TOKEN or not printable:
        raise BadChallenge(
            "This plainToken is not answered: Zoom's tokens have at most "
            f"{_MAX_PLAIN_TOKEN} printable ASCII characters and no colon."
        )
    return {"plainToken": plain, "encryptedToken": hex_hmac(token, plain.encode())}


def join_signature(
    client_id: str, client_secret: str, *, meeting_uuid: str, rtms_stream_id: str
) -> str:
    """Return the signature that lets Recall join a stream for the app (Recall: Meeting Direct
    Connect). For a webinar, pass its UUID as `meeting_uuid`."""
    return hex_hmac(client_secret, f"{client_id},{meeting_uuid},{rtms_stream_id}".encode())


def _signed_forms(raw: bytes, body: dict[str, Any]) -> Iterator[bytes]:
    """Yield the messages that Zoom may have signed: the bytes as received, and the canonical form,
    because Zoom signs `JSON.stringify(body)` and sometimes sends other bytes (developer forum
    75972, 82638). Both have the same content, so either match authenticates the parsed body."""
    yield raw
    try:
        canonical = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):  # a lone surrogate cannot be encoded
        return
    if canonical != raw:
        yield canonical


def hex_hmac(key: str, message: bytes) -> str:
    """Return an HMAC-SHA256 in hexadecimal, as Zoom's signatures and challenges use it."""
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()
