"""The outcomes of a create, and which of them each of Recall's answers is."""

from __future__ import annotations

from dataclasses import dataclass

from rtms.http.answer import DEFAULT_RETRY_AFTER, HttpAnswer
from rtms.recall.responses import read_status


@dataclass(frozen=True, kw_only=True)
class Created:
    """Recall has the stream."""

    recall_id: str
    status: str | None  # an open set
    sub_code: str | None


@dataclass(frozen=True, kw_only=True)
class RateLimited:
    """429: nothing was done, and no process may send another create for a while."""

    retry_after: float  # seconds
    error: str


@dataclass(frozen=True, kw_only=True)
class NotDone:
    """Recall refused, perhaps temporarily. It keeps that answer under the idempotency key, so the
    next try needs a new key (Recall: idempotency)."""

    retry_after: float | None  # seconds, where the answer names them
    error: str


@dataclass(frozen=True, kw_only=True)
class OutcomeUnknown:
    """Recall may have done it. Only a request with the same idempotency key is safe to repeat."""

    error: str
    retry_after: float | None = None  # seconds, where the answer names them
    in_flight: bool = False  # Recall is still working on a request with this key


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Recall refused permanently."""

    error: str


CreateOutcome = Created | RateLimited | NotDone | OutcomeUnknown | Refused

# How to handle each status (Recall: API errors). Other 4xx are refusals like 400. After any status
# that is not listed, it is unknown whether the work was done.
_REFUSALS = {
    401: "Recall does not know this API key: check RECALL_API_KEY, and that RECALL_REGION is the "
    "region the key was created in",
    402: "Recall reports that no credit is left: add credit to the workspace",
    403: "Recall forbids it: check RECALL_API_KEY; its firewall also answers 403, for example to a "
    "localhost URL in RECORDING_CONFIG",
}
_TEMPORARY_REFUSALS = {500: "had an internal error", 507: "has no free worker at the moment"}
_UNKNOWN_4XX = {408: "timed out waiting for the request", 409: "is working on the same request"}


def create_outcome(answer: HttpAnswer, *, hide: tuple[str, ...]) -> CreateOutcome:
    """Return the outcome of a create from Recall's answer.

    Args:
        hide: secrets that must not appear in it.
    """
    status, text, wait = answer.status, answer.text(hide), answer.retry_after()
    if status in (200, 201):
        return _created(answer, text)
    said = f"Recall answered {status}:"
    if status == 429:
        wait = DEFAULT_RETRY_AFTER if wait is None else wait
        return RateLimited(retry_after=wait, error=f"{said} too many requests. {text}")
    if status in _TEMPORARY_REFUSALS:
        return NotDone(retry_after=wait, error=f"{said} it {_TEMPORARY_REFUSALS[status]}. {text}")
    if status in _UNKNOWN_4XX or not 300 <= status < 500:
        why = _UNKNOWN_4XX.get(status, "dropped the request or lost the answer")
        error = f"{said} it {why}. {text}"
        return OutcomeUnknown(retry_after=wait, error=error, in_flight=status == 409)
    why = _REFUSALS.get(status, "it does not accept the request")
    return Refused(error=f"{said} {why}. {text}")


def _created(answer: HttpAnswer, text: str) -> CreateOutcome:
    body = answer.json() or {}
    recall_id = body.get("id")
    if not isinstance(recall_id, str) or not recall_id or not recall_id.isprintable():
        return OutcomeUnknown(error=f"Recall answered {answer.status} without a usable id. {text}")
    status, sub_code = read_status(body)
    return Created(recall_id=recall_id, status=status, sub_code=sub_code)
