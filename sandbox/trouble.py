"""Applies a fault to the answer that a client sees."""

import json
import math
import time
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus

from sandbox.faults import Fault
from sandbox.wire import Answer

FIREWALL_PAGE = (
    b"<html><head><title>403 Forbidden</title></head>"
    b"<body><center><h1>Request blocked</h1></center></body></html>\r\n"
)

#: The bodies of Recall's own refusals (Recall: API errors).
DETAILS = {
    400: {"detail": "The request is invalid."},
    401: {"detail": "Invalid token."},
    402: {"detail": "Insufficient credit balance."},
    403: {"detail": "You do not have permission to perform this action."},
    409: {"detail": "Another request with this Idempotency-Key is in progress."},
    429: {"detail": "Request was throttled."},
    500: {"detail": "A server error occurred."},
    507: {"detail": "All workers are in use. Try again in 30 seconds."},
}


def firewall() -> Answer:
    """Return the firewall's HTML page."""
    return Answer(403, FIREWALL_PAGE, "text/html")


def refusal(fault: Fault) -> Answer:
    """Return the answer of a fault that replaces the real answer."""
    if fault.kind == "firewall":
        answer = firewall()
    elif fault.kind == "redirect":
        answer = Answer(fault.status or 307, headers={"Location": fault.location or ""})
    elif fault.kind == "status" and fault.status in DETAILS:
        answer = Answer.of_json(fault.status, DETAILS[fault.status])
    else:
        answer = _gateway(fault.status or 502)
    return _dressed(fault, answer)


def seen_through(fault: Fault, answer: Answer) -> Answer:
    """Return what the client sees instead of the real answer."""
    if fault.kind in ("reset_before", "reset_after"):
        return replace(answer, manner="reset")
    if fault.kind == "hang":
        return replace(answer, manner="hang")
    if fault.kind in ("status", "firewall", "redirect"):
        return refusal(fault)
    if fault.kind == "no_id":
        answer = _without_id(answer)
    elif fault.kind == "not_json":
        answer = replace(answer, body=b"<html>It works!</html>", content_type="text/html")
    elif fault.kind == "drip":
        drip = 1.0 if fault.seconds is None else fault.seconds
        answer = replace(answer, manner="drip", drip=drip)
    answer = _dressed(fault, answer)
    if fault.kind == "truncated":
        cut = len(answer.body) // 2 if fault.cut is None else fault.cut
        answer = replace(answer, manner="cut", cut=cut, honest=fault.honest)
    return answer


def _dressed(fault: Fault, answer: Answer) -> Answer:
    headers = dict(answer.headers)
    if fault.retry_after is not None:
        if fault.retry_after_date:
            opens = math.ceil(time.time() + fault.retry_after)
            headers["Retry-After"] = formatdate(opens, usegmt=True)
        else:
            headers["Retry-After"] = f"{fault.retry_after:g}"
    headers |= fault.headers
    body = answer.body if fault.body is None else fault.body.encode()
    return replace(answer, headers=headers, body=body)


def _gateway(status: int) -> Answer:
    """Return a load balancer's own answer: HTML, not JSON."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    page = f"<html><head><title>{status} {phrase}</title></head><body></body></html>\r\n"
    return Answer(status, page.encode(), "text/html")


def _without_id(answer: Answer) -> Answer:
    if not isinstance(answer.body, bytes):
        return answer
    value = json.loads(answer.body)
    if isinstance(value, dict):
        value.pop("id", None)
    return replace(answer, body=json.dumps(value).encode())
