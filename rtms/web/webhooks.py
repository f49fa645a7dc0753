"""The routes that Zoom and Recall call. Thin: verify, take in, answer."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import structlog
from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from rtms import clock, payload
from rtms.db.errors import DatabaseUnavailable
from rtms.intake import recall_status
from rtms.intake.results import IntakeResult
from rtms.jobs.names import JobName
from rtms.logs import about
from rtms.monitoring.counters import Counts
from rtms.services import Services, get_services
from rtms.zoom import signature as zoom
from rtms.zoom.meanings import Meaning, Stopped

_RETRY_AFTER = "30"  # seconds; Zoom itself comes back after five minutes

blueprint = Blueprint("webhooks", __name__)
log = structlog.get_logger()


@blueprint.post("/zoom-webhook")
def zoom_webhook() -> Response | tuple[Response, int]:
    """Take in one of Zoom's deliveries, or answer its challenge."""
    services = get_services()
    config = services.config
    raw = _raw()
    body = payload.decode_body(raw)
    is_challenge = body["event"] == zoom.CHALLENGE_EVENT
    headers = request.headers
    timestamp = headers.get("x-zm-request-timestamp", "")
    signature = headers.get("x-zm-signature", "")
    token = config.zoom_secret_tokens[0]
    if timestamp or signature or not is_challenge:  # only a challenge may come unsigned
        token = zoom.verify(
            config.zoom_secret_tokens,
            timestamp=timestamp,
            signature=signature,
            raw=raw,
            body=body,
            now=time.time(),
            tolerance=config.signature_tolerance_seconds,
        )
    if is_challenge:
        answer = zoom.answer_challenge(body, token)
        services.counts.delivery("zoom", zoom.CHALLENGE_EVENT, "accepted")
        log.info("zoom validates the endpoint")
        return jsonify(answer), 200
    sent_at = clock.from_milliseconds(int(timestamp) * 1000)
    return _take_in(services, body, headers.get("x-zm-trackingid", "")[:255], sent_at)


@blueprint.post("/recall-webhook")
def recall_webhook() -> tuple[Response, int]:
    """Take in one of Recall's status webhooks: a hint that a connection is worth asking about."""
    services = get_services()
    if not services.config.recall_webhook_secrets:
        abort(404)
    raw = _raw()
    headers = {name.lower(): value for name, value in request.headers}
    message_id = recall_status.verify(services.config.recall_webhook_secrets, headers, raw)
    body = payload.decode_body(raw)
    row = recall_status.take(services.database, body, message_id)
    if row and services.dispatcher:
        services.dispatcher.wake(JobName.FOLLOW)
    services.counts.delivery("recall", body["event"], "accepted" if row else "unknown")
    (about(row) if row else log).debug("recall says " + body["event"])
    return jsonify(outcome="accepted"), 200


def _raw() -> bytes:
    """The body's bytes as they came.

    Raises:
        RequestEntityTooLarge: there are more than are read.
        BadBody: it broke off, or its transfer encoding is not right.
    """
    try:
        raw = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # each server has errors of its own for what it cannot read
        raise payload.BadBody(f"The body cannot be read ({type(error).__name__}).") from None
    if request.content_length is None and len(raw) >= (request.max_content_length or len(raw) + 1):
        raise RequestEntityTooLarge  # chunks beyond the limit are cut off silently
    return raw


def _take_in(to: Services, body: dict[str, Any], tracking_id: str, sent_at: datetime) -> Response:
    tracking_id = tracking_id if tracking_id.isprintable() else ""
    arrived_at = time.monotonic()
    ticket = to.intake.begin(body, tracking_id or None, sent_at=sent_at)
    taken = ticket.result()
    where = log.bind(row=taken.row_id, stream=taken.stream, tracking_id=tracking_id or None)
    try:
        _pass_on(to, taken, where)
        _count(to.counts, body["event"], ticket.job.meaning, taken, arrived_at)
        where.log(_LEVELS[taken.level], body["event"], outcome=taken.outcome, detail=taken.detail)
    except Exception:  # committed: from here on nothing may keep Zoom from its 200
        where.exception("a delivery is recorded, and what follows broke off")
    if taken.outcome == "rejected":
        return _json(400, error=taken.detail)
    return _json(200, outcome=taken.outcome, detail=taken.detail)


def _json(status: int, **said: str) -> Response:
    """Make a JSON answer. `flask.jsonify` takes several times as much CPU."""
    return Response(json.dumps(said), status, mimetype="application/json")


def _pass_on(to: Services, taken: IntakeResult, where: Any) -> None:
    """Let a stream that is due be connected."""
    if not taken.is_due:
        return
    if to.dispatcher:
        to.dispatcher.wake(JobName.CONNECT)
    elif to.config.dispatcher:
        where.error(
            "this process has no dispatcher, so it connects no stream: start the server with "
            "`gunicorn app:app` or `make run`, or run `flask worker` beside it"
        )


def _count(
    counts: Counts, event: str, meaning: Meaning | None, taken: IntakeResult, arrived_at: float
) -> None:
    counts.delivery("zoom", event, taken.outcome)
    counts.acknowledged(time.monotonic() - arrived_at)
    if isinstance(meaning, Stopped) and taken.outcome != "duplicate":
        counts.stop(meaning.stop_reason)


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@blueprint.after_request
def _count_refusal(answer: Response) -> Response:
    if answer.status_code >= 400:
        its_sender = "recall" if request.path == "/recall-webhook" else "zoom"
        get_services().counts.refusal(its_sender, answer.status_code)
    return answer


@blueprint.errorhandler(payload.BadBody)
@blueprint.errorhandler(zoom.BadChallenge)
def _bad_request(error: Exception) -> tuple[Response, int]:
    log.warning("delivery refused", status=400, error=str(error), remote=request.remote_addr)
    return jsonify(error=str(error)), 400


@blueprint.errorhandler(payload.BadSignature)
def _unauthorized(error: Exception) -> tuple[Response, int]:
    log.warning("delivery refused", status=401, error=str(error), remote=request.remote_addr)
    return jsonify(error=str(error)), 401


@blueprint.errorhandler(DatabaseUnavailable)
def _unavailable(error: DatabaseUnavailable) -> Response:
    log.error("delivery not recorded: the database is unreachable", error=str(error))
    answer = _json(503, error="The delivery could not be recorded. Please deliver it again.")
    answer.headers["Retry-After"] = _RETRY_AFTER
    return answer
