"""Whether the endpoint signs what could pass for a delivery.

The challenge's answer and a delivery's signature are the same function of the same key. Whoever
gets `v0:<time>:<body>` answered, in whatever disguise, has that body's signature. Most published
samples answer it.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.doctor.probe import Endpoint, ProbeAnswer, encode
from rtms.zoom.signature import CHALLENGE_EVENT, hex_hmac

_ABOUT = "oracle"
# Worth nothing to whoever reads it on the way: an event that means nothing.
_BODY = '{"event":"doctor.oracle"}'
_HEX = re.compile(r"[0-9a-fA-F]{64}")


def _asked(plain: Any) -> dict[str, Any]:
    return {"event": CHALLENGE_EVENT, "payload": {"plainToken": plain}}


def _escaped(text: str) -> bytes:
    token = "".join(f"\\u{ord(each):04x}" for each in text)
    return f'{{"event":"{CHALLENGE_EVENT}","payload":{{"plainToken":"{token}"}}}}'.encode()


def _last_of_two(text: str) -> bytes:
    tokens = f'"plainToken":"abc","plainToken":{json.dumps(text)}'
    return f'{{"event":"{CHALLENGE_EVENT}","payload":{{{tokens}}}}}'.encode()


# Ways to ask, in the hope that the server undoes the disguise before it hashes.
_WAYS: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda text: encode(_asked(text)),
    "with white space before it": lambda text: encode(_asked(f" \t{text}")),
    "with a line break behind it": lambda text: encode(_asked(f"{text}\r\n")),
    "with a NUL before it": lambda text: encode(_asked(f"\0{text}")),
    "with a byte order mark before it": lambda text: encode(_asked(f"\ufeff{text}")),
    "in upper case": lambda text: encode(_asked(text.upper())),
    "in a list": lambda text: encode(_asked([text])),
    "with full-width colons": lambda text: encode(_asked(text.replace(":", "\uff1a"))),
    "with its colons percent-encoded": lambda text: encode(_asked(text.replace(":", "%3A"))),
    "with every character escaped": _escaped,
    "behind another token": _last_of_two,
    "in UTF-16": lambda text: json.dumps(_asked(text)).encode("utf-16"),
    "cut to its beginning": lambda text: encode(_asked(text[: text.index("{")])),
}


def look(endpoint: Endpoint, tokens: Sequence[str]) -> Finding:
    """Ask for a forged delivery's signature in several ways.

    Args:
        endpoint: whom to ask.
        tokens: the secret tokens that may sign it.
    """
    message = f"v0:{int(time.time())}:{_BODY}"
    for way, wrap in _WAYS.items():
        answer = endpoint.post(wrap(message), {})
        if signs(answer, message, tokens):
            return failure(
                _ABOUT,
                "The endpoint is a signing oracle: it answered a challenge that is a delivery's "
                f"signed text, {way}. Whoever asks like that can forge any of Zoom's deliveries.",
                "What answers at PUBLIC_URL must refuse a plainToken that holds a colon, as this "
                "server does. Until it does, take it off the net; then replace the Secret Token.",
            )
        if answer.status >= 500:
            return warning(
                _ABOUT,
                f"Whether the endpoint signs forged deliveries is not known: it answered "
                f"{answer.status} when asked {way}.",
                "Mend what the other findings say, and run this again.",
            )
    return ok(_ABOUT, f"No forged delivery gets signed, in {len(_WAYS)} ways of asking for it.")


def signs(answer: ProbeAnswer, message: str, tokens: Sequence[str]) -> bool:
    """Whether an answer is, or may be, the signature of what could pass for a delivery.

    Args:
        answer: to a challenge that holds the message, or its beginning, in some disguise.
        message: what Zoom would sign.
        tokens: the secret tokens that may sign it.
    """
    told = _HEX.findall(answer.text)
    wanted = [
        hex_hmac(token, text.encode())
        for token in tokens
        for text in (message, message[: message.index("{")])
    ]
    if any(hmac.compare_digest(each.lower(), one) for each in told for one in wanted):
        return True
    # Another key's answer cannot be recognised, but what it says that it hashed can.
    plain = (answer.json() or {}).get("plainToken")
    harmless = isinstance(plain, str) and ":" not in plain
    return answer.status < 300 and bool(told) and not harmless
