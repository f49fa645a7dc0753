"""Requests to the public address, and their answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rtms.http.session import USER_AGENT, Session
from rtms.zoom.signature import hex_hmac

_PATIENCE = (3.0, 5.0)  # seconds to connect, and for each read: past Zoom's three, to say so
_MAX_BYTES = 65536


@dataclass(frozen=True)
class ProbeAnswer:
    """What came back. Its body is never shown: anything may be in it."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float

    def json(self) -> dict[str, Any] | None:
        """Return the body, where it is a JSON object."""
        try:
            body = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


class Endpoint:
    """A public address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = Session()
        self._session.headers["User-Agent"] = f"{USER_AGENT} doctor"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str) -> ProbeAnswer:
        """Request a page. Redirects are not followed.

        Raises:
            one of `rtms.http.session.NETWORK_ERRORS`: there was no answer.
        """
        return self._send("GET", path, None, {})

    def post(self, raw: bytes, headers: Mapping[str, str]) -> ProbeAnswer:
        """Deliver to /zoom-webhook, as Zoom does. Redirects are not followed: neither does Zoom.

        Raises:
            one of `rtms.http.session.NETWORK_ERRORS`: there was no answer.
        """
        return self._send(
            "POST", "/zoom-webhook", raw, {"Content-Type": "application/json", **headers}
        )

    def _send(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> ProbeAnswer:
        began = time.monotonic()
        with self._session.request(
            method,
            f"{self._url}{path}",
            data=raw,
            headers=dict(headers),
            auth=lambda request: request,  # or the library takes a password out of .netrc
            timeout=_PATIENCE,
            allow_redirects=False,
            stream=True,
        ) as response:
            content = response.raw.read(_MAX_BYTES, decode_content=True)
            return ProbeAnswer(
                response.status_code, response.headers, content, time.monotonic() - began
            )


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a body as Zoom writes it."""
    return json.dumps(body, separators=(",", ":")).encode()


def signed(token: str, timestamp: str, raw: bytes) -> dict[str, str]:
    """Return the headers that Zoom signs a delivery with (Zoom: verify webhook events).

    Args:
        token: the secret token.
        timestamp: Unix seconds.
        raw: the body.
    """
    return {
        "x-zm-request-timestamp": timestamp,
        "x-zm-signature": f"v0={hex_hmac(token, f'v0:{timestamp}:'.encode() + raw)}",
    }
