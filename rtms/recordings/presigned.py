"""Follows pre-signed links: only to where they may lead, and with nothing of ours.

Whoever has such a link can read the medium behind it (Recall: recordings). No error, log line or
`repr` here holds one, and neither the API key nor cookies nor a password out of the user's .netrc
goes along with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import requests
from requests.auth import AuthBase

from rtms.recall.http import NETWORK_ERRORS, CannotBeSent, Session, join, network_error_text, origin

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_HOPS = 5
_CHUNK = 256 * 1024  # bytes


class LinkRefused(Exception):
    """A link, or a redirect of one, that must not be followed. The message says why."""


class LinkBroken(Exception):
    """No answer, or only some of it. The message says why."""


class LinkUnusable(Exception):
    """No request can be sent to it from here until somebody mends what the message names."""


class LinkAnswer:
    """What came back for a link. The body is still on its way."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, as it is on the wire.

        Raises:
            LinkBroken: it broke off.
        """
        while True:
            why, chunk = "", b""
            try:
                # One read is one receive, so that what came before a break is not lost.
                chunk = self._response.raw.read1(_CHUNK, decode_content=False)
            except NETWORK_ERRORS as error:
                why = network_error_text(error)
            if why:  # outside of the handler: the error caught there may hold the link
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
        # A length of compressed bytes would say nothing about the file's.
        self._session.headers["Accept-Encoding"] = "identity"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def open(self, link: str, headers: Mapping[str, str]) -> LinkAnswer:
        """Ask for what is behind a link; redirects are followed.

        Raises:
            LinkRefused: it leads where it must not.
            LinkUnusable: no request can be sent to it.
            LinkBroken: nobody answered.
        """
        what = "The link"
        for _ in range(1 + _MAX_HOPS):
            if complaint := self._complaint(link):
                raise LinkRefused(f"{what} {complaint}")
            response = self._get(link, headers)
            if response.status_code not in _REDIRECTS:
                return LinkAnswer(response)
            response.close()
            link = join(link, response.headers.get("Location", ""))
            what = "The link redirects to an address that"
        raise LinkRefused(f"The link redirects more than {_MAX_HOPS} times")

    def _get(self, link: str, headers: Mapping[str, str]) -> requests.Response:
        why, lasts = "", False
        try:
            return self._session.get(
                link,
                headers=dict(headers),
                auth=_Nobody(),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
        except NETWORK_ERRORS as error:
            why, lasts = network_error_text(error), isinstance(error, CannotBeSent)
        # Outside of the handler: the error caught there holds the link.
        raise LinkUnusable(why) if lasts else LinkBroken(why)

    def _complaint(self, link: str) -> str | None:
        """Why a link must not be followed, or None if it may be."""
        where = origin(link)
        if where is None:
            return "is no plain URL"
        scheme, host, _ = where
        if scheme == "https" or where == self._allowed:
            return None
        return f"leads to {host[:100]} over {scheme[:20]}, and only https is followed"


class _Nobody(AuthBase):
    """Sends no authorization. (An explicit auth keeps requests from looking into .netrc.)"""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Discretion(logging.Filter):
    """Keeps the query of a link, which is its secret, out of urllib3's own log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                value if isinstance(value, int) else re.sub(r"\?\S*", "?[hidden]", str(value))
                for value in record.args
            )
        record.exc_info = None  # it may quote headers, and one of them is Location
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Discretion())
