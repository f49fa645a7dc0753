"""Whether the endpoint signs what could pass for a delivery.

The challenge's answer and a delivery's signature are the same function of the same key. Whoever
gets `v0:<time>:<body>` answered has that body's signature. Most published samples answer it. That
this server does not, in no disguise, is for its tests to prove. Here two requests find another
program at the address, and a filter in front of one.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Sequence

from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.doctor.probe import Endpoint, ProbeAnswer
from rtms.zoom.signature import CHALLENGE_EVENT, hex_hmac

_ABOUT = "oracle"
# An event that means nothing: its signature is worth nothing to who reads it on the way.
_BODY = '{"event":"doctor.oracle"}'
_HEX = re.compile(r"[0-9a-f]{64}")


def look(endpoint: Endpoint, tokens: Sequence[str]) -> Finding:
    """Ask for a forged delivery's signature: plainly, and with every character escaped, which a
    filter that searches the body's bytes does not see.

    Args:
        endpoint: the public address.
        tokens: the secret tokens that may sign it.
    """
    message = f"v0:{int(time.time())}:{_BODY}"
    escaped = "".join(f"\\u{ord(each):04x}" for each in message)
    for token in (json.dumps(message), f'"{escaped}"'):
        raw = f'{{"event":"{CHALLENGE_EVENT}","payload":{{"plainToken":{token}}}}}'
        answer = endpoint.post(raw.encode(), {})
        if signs(answer, message, tokens):
            return failure(
                _ABOUT,
                "The endpoint is a signing oracle: it answered a challenge that is a delivery's "
                "signed text. Who asks like that can forge any of Zoom's deliveries.",
                "What answers at PUBLIC_URL must refuse a plainToken that holds a colon, as this "
                "server does. Until it does, take it off the net. Then replace the Secret Token.",
            )
        if answer.status >= 500:
            return warning(
                _ABOUT,
                "Whether the endpoint signs forged deliveries is not known: it answered "
                f"{answer.status}.",
                "Fix what the other findings say, and run this again.",
            )
    return ok(_ABOUT, "The endpoint signs no forged delivery.")


def signs(answer: ProbeAnswer, message: str, tokens: Sequence[str]) -> bool:
    """Return whether an answer is the signature of a message, or may be one by another key.

    Args:
        answer: to a challenge whose token is the message.
        message: what Zoom would sign.
        tokens: the secret tokens that may sign it.
    """
    found = _HEX.findall(answer.text.lower())
    ours = [hex_hmac(token, message.encode()) for token in tokens]
    if any(hmac.compare_digest(one, signature) for one in found for signature in ours):
        return True
    return answer.status < 300 and bool(found)
