"""Open pre-signed links: only over HTTPS, and without credentials.

A pre-signed link gives access to a medium (Recall: recordings). No error, log line or `repr` here
contains one, and no API key, cookie or password from the user's .netrc is sent with one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Self

import requests

from rtms.http.session import (
    NETWORK_ERRORS,
    CannotBeSent,
    Session,
    join,
    network_error_text,
    origin,
)

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_HOPS = 5
_CHUNK = 256 * 1024  # bytes


class LinkRefused(Exception):
    """A link, or its redirect, must not be followed. The message says why."""


class LinkBroken(Exception):
    """There was no response, or only part of one. The message says why."""


class LinkUnusable(Exception):
    """A request cannot be sent until a person fixes what the message names."""


class LinkAnswer:
    """The response for a link. Its body is still to be read."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def length(self) -> int | None:
        """Return `Content-Length` in bytes; None where there is none."""
        text = self.headers.get("Content-Length", "").strip()
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None

    def chunks(self) -> Iterator[bytes]:
        """Yield the body's bytes as received, without decoding.

        Raises:
            LinkBroken: the response ended early.
        """
        while True:
            why, chunk = "", b""
            try:
                # One read is one receive, so that no bytes are lost when the connection breaks.
                chunk = self._response.raw.read1(_CHUNK, decode_content=False)
            except NETWORK_ERRORS as error:
                why = network_error_text(error)
            if why:  # outside the except block, whose error may contain the link
                raise LinkBroken(why)
            if not chunk:
                return
            yield chunk


class Links:
    """Opens links.

    Args:
        allowed_host: an origin that may be reached without TLS: a stand-in's `http://host:port`.
        timeout: seconds to connect, and again for each read.
    """

    def __init__(self, allowed_host: str | None, timeout: float) -> None:
        self._allowed = None if allowed_host is None else origin(allowed_host)
        self._timeout = timeout
        self._session = Session()
        # The length of compressed bytes is not the file's.
        self._session.headers["Accept-Encoding"] = "identity"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def open(self, link: str, headers: Mapping[str, str]) -> LinkAnswer:
        """Request a link and follow its redirects.

        Raises:
            LinkRefused: it leads to a place that is not allowed.
            LinkUnusable: a request cannot be sent.
            LinkBroken: there was no response.
        """
        what = "The link"
        for _ in range(1 + _MAX_HOPS):
            if problem := self._problem(link):
                raise LinkRefused(f"{what} {problem}")
            response = self._get(link, headers)
            if response.status_code not in _REDIRECTS:
                return LinkAnswer(response)
            response.close()
            link = join(link, response.headers.get("Location", ""))
            what = "The link redirects to an address that"
        raise LinkRefused(f"The link redirects more than {_MAX_HOPS} times")

    def _get(self, link: str, headers: Mapping[str, str]) -> requests.Response:
        why, is_permanent = "", False
        try:
            return self._session.get(
                link,
                headers=dict(headers),
                auth=lambda request: request,  # or the library takes a password out of .netrc
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
        except NETWORK_ERRORS as error:
            why, is_permanent = network_error_text(error), isinstance(error, CannotBeSent)
        # Outside the except block, whose error contains the link.
        raise LinkUnusable(why) if is_permanent else LinkBroken(why)

    def _problem(self, link: str) -> str | None:
        """Return why a link must not be followed; None if it may be."""
        where = origin(link)
        if where is None:
            return "is not a plain URL"
        scheme, host, _ = where
        if scheme == "https" or where == self._allowed:
            return None
        return f"leads to {host[:100]} over {scheme[:20]}, and only https is followed"


def size_at(link: str, allowed_host: str | None, timeout: float) -> int | None:
    """Return how many bytes are at a link; None where it is refused or its headers do not say.

    Args:
        allowed_host, timeout: as for `Links`.
    """
    try:
        with (
            Links(allowed_host, timeout) as links,
            links.open(link, {"Range": "bytes=0-0"}) as answer,
        ):
            if answer.status == 200:
                return answer.length()
            span = re.fullmatch(r"bytes 0-0/(\d{1,18})", answer.headers.get("Content-Range", ""))
            return int(span[1]) if span and answer.status == 206 else None
    except (LinkRefused, LinkBroken, LinkUnusable):
        return None


class _HideQueries(logging.Filter):
    """Removes the query of a link, which is its secret, from urllib3's log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                value if isinstance(value, int) else re.sub(r"\?\S*", "?[hidden]", str(value))
                for value in record.args
            )
        record.exc_info = None  # it may quote the Location header
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_HideQueries())
