"""The metrics for Prometheus at /metrics, and the access to them.

Totals come from the tables. What only a process knows has a label for the process, and comes from
the last heartbeat of each. So every process gives the same answer.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import structlog
from flask import Blueprint, Request, Response, abort, jsonify, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from rtms.db.errors import DatabaseUnavailable
from rtms.jobs.queues import QUEUES
from rtms.monitoring import snapshot
from rtms.monitoring.prometheus import Exposition
from rtms.services import Services, get_services

# Added by proxies and tunnels. One on this machine also connects from a loopback address.
_FORWARDED = (
    "Forwarded", "Via", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP",
    "X-Original-Forwarded-For", "X-Originating-IP", "X-Cluster-Client-IP", "Fly-Client-IP",
    "X-Envoy-External-Address",
)  # fmt: skip
_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)

blueprint = Blueprint("metrics", __name__)
log = structlog.get_logger()


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the metrics, also while the database is unreachable."""
    services = get_services()
    token = services.config.metrics_token
    if not (_is_from_here(request) or _has_token(request, token)):
        if token is None:
            abort(404)  # do not reveal that the route exists
        refused = jsonify(error="METRICS_TOKEN is missing or wrong. Send Authorization: Bearer ...")
        refused.status_code = 401
        refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    registry = CollectorRegistry()
    registry.register(Exposition(*_read(services)))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def _read(services: Services) -> tuple[snapshot.Snapshot | None, Mapping[str, Any]]:
    """Return the database's snapshot and this process's counters, as last written to its heartbeat.
    Newer counters would be missing from the next answer of another process, and Prometheus takes a
    counter that decreases for a restart."""
    own = None
    with suppress(DatabaseUnavailable):
        own = services.heartbeat.recent()
    try:
        found = snapshot.read(services.database, services.meeting_counter, QUEUES)
    except DatabaseUnavailable as error:
        log.warning("metrics without the database's part", error=str(error))
        return None, own or services.heartbeat.row()
    written = (
        row._asdict() for row in found.processes if row.name == services.heartbeat.identity.name
    )
    # Another thread may have written newer counters, which another process may have shown.
    return found, next(written, None) or own or services.heartbeat.row()


def _is_from_here(request: Request) -> bool:
    """Return whether a request comes from this machine itself: not through a proxy, and not from a
    browser for another site's page (DNS rebinding)."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    forwarded = any(name in request.headers for name in _FORWARDED) or any(
        name.lower().startswith("x-forwarded") for name, _ in request.headers
    )
    return (
        address.is_loopback
        and not forwarded
        and _LOOPBACK_HOST.fullmatch(request.headers.get("Host", "")) is not None
        and request.headers.get("Sec-Fetch-Site", "").lower() != "cross-site"
    )


def _has_token(request: Request, token: str | None) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if token is None or kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())
