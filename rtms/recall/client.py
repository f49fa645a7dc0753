"""The client for Recall.ai's API. Every response, or lack of one, becomes a typed outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from rtms.recall.http import NETWORK_ERRORS, CannotBeSent, Session, join, network_error_text, origin
from rtms.text import shown
from rtms.text_breaks import cut

CREATE_PATH = "/api/v1/meeting_direct_connect"  # without a trailing slash, as in the quickstart
_AUDIO_PATH = "/api/v1/audio_mixed"
_MAX_PAGES = 10  # of a recording's mixed audio, which has a file for each format
_MAX_ANSWER_BYTES = 1024 * 1024
_MAX_TEXT = 500  # characters of an answer that are kept to explain a failure
_MAX_RETRY_AFTER = 3600.0  # seconds
_DEFAULT_RETRY_AFTER = 2.0  # seconds, where a 429 names no time
_REDIRECTS = (301, 302, 307, 308)


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

    retry_after: float | None  # seconds, where the answer names them
    error: str
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


class Recall:
    """A client for one workspace. Threads may share it.

    Args:
        api_key: sent as `Authorization: Token <key>`, to `base_url` only.
        base_url: the region's address, without a trailing slash.
        timeout: seconds to connect, and again for each read. A whole call takes at most three
            times that, unless the response's headers trickle in.
        connections: how many calls may be in flight at once.
        on_answer: called after every call with `create` or `retrieve` and the response's status,
            None where there was no response.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        timeout: float = 10.0,
        connections: int = 32,
        on_answer: Callable[[str, int | None], None] = lambda _operation, _status: None,
    ) -> None:
        self.base_url = base_url
        self._timeout = timeout
        self._auth = _Token(api_key)
        self._api_key = api_key
        self._on_answer = on_answer
        self._session = Session()
        self._session.headers["Accept"] = "application/json"
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        # Look up the environment's proxies and certificates once rather than with every call.
        environment = self._session.merge_environment_settings(base_url, {}, None, None, None)
        self._session.trust_env = False
        self._session.proxies = environment["proxies"]
        self._session.verify = environment["verify"]

    def __repr__(self) -> str:
        return f"<Recall {self.base_url}>"

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def create_direct_connect(
        self,
        *,
        zoom_rtms: Mapping[str, str],
        recording_config: Mapping[str, Any],
        metadata: Mapping[str, str],
        idempotency_key: str,
    ) -> CreateOutcome:
        """Hand a stream to Recall (Recall: Meeting Direct Connect).

        Args:
            zoom_rtms: meeting_uuid, rtms_stream_id, server_urls and signature.
            recording_config: as in Create Bot.
            metadata: returned with the direct connect and each of its recordings.
            idempotency_key: the previous one if that try's outcome is unknown, else a new one.
        """
        body = {
            "zoom_rtms": dict(zoom_rtms),
            "recording_config": {
                **recording_config,
                "metadata": {**recording_config.get("metadata", {}), **metadata},
            },
            "metadata": dict(metadata),
        }
        try:
            url = f"{self.base_url}{CREATE_PATH}"
            answer = self._call("POST", url, body, {"Idempotency-Key": idempotency_key})
        except _ForeignRedirect as error:
            return Refused(error=str(error))
        except CannotBeSent as error:  # another try would fail in the same way
            return Refused(error=f"Recall was not asked: {error}.")
        except _ERRORS as error:
            return OutcomeUnknown(
                retry_after=None, error=f"No answer from Recall: {_error_text(error)}."
            )
        return _create_outcome(answer, hide=(self._api_key, zoom_rtms.get("signature", "")))

    def retrieve_direct_connect(self, recall_id: str | None) -> dict[str, Any]:
        """Return a direct connect as Recall has it now: `id`, `status`, `recordings`, `metadata`.

        Raises:
            RecallError: Recall did not return it; the message says what happened.
        """
        if not recall_id:
            raise RecallError("The meeting has no Recall id: it was never connected.")
        return self._get(f"{self.base_url}{CREATE_PATH}/{quote(recall_id, safe='')}")

    def list_audio_mixed(
        self, recording_id: str, take_turn: Callable[[], None] = lambda: None
    ) -> list[Any]:
        """Return a recording's mixed audio as Recall has it now: a list of objects with `id`,
        `status`, `format` and `data` (Recall: list audio_mixed).

        Args:
            take_turn: called before the request for each page.

        Raises:
            RecallError: Recall did not return it, or its next page is at another host.
        """
        url = f"{self.base_url}{_AUDIO_PATH}?recording_id={quote(recording_id, safe='')}"
        listed: list[Any] = []
        for _ in range(_MAX_PAGES):
            take_turn()
            page = self._get(url)
            results = page.get("results")
            listed += results if isinstance(results, list) else []
            link = page.get("next")
            if not isinstance(link, str) or not link:
                break
            url = join(url, link)
            if origin(url) is None or origin(url) != origin(self.base_url):
                if listed:
                    break
                raise RecallError(
                    "Recall's list of mixed audio continues at another host, which must not get "
                    "the API key: check RECALL_BASE_URL."
                )
        return listed

    def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = self._call("GET", url, None, {})
        except CannotBeSent as error:
            raise RecallError(f"Recall was not asked: {error}.", passes=False) from None
        except (*_ERRORS, _ForeignRedirect) as error:
            raise RecallError(f"No answer from Recall: {_error_text(error)}.") from None
        body = answer.json()
        if answer.status == 200 and body is None:  # not quoted: it may contain pre-signed links
            raise RecallError("Recall answered 200 with a body that is not a JSON object.")
        if answer.status != 200 or body is None:
            wait = answer.retry_after()
            if answer.status == 429 and wait is None:
                wait = _DEFAULT_RETRY_AFTER
            text = answer.text((self._api_key,))
            raise RecallError(f"Recall answered {answer.status}: {text}", answer.status, wait)
        return body

    def _call(self, method: str, url: str, body: object | None, headers: dict[str, str]) -> _Answer:
        operation = "create" if method == "POST" else "retrieve"
        try:
            answer = self._follow(method, url, body, headers)
        except _ERRORS:
            self._on_answer(operation, None)
            raise
        except _ForeignRedirect:
            self._on_answer(operation, _REDIRECTS[0])
            raise
        self._on_answer(operation, answer.status)
        return answer

    def _follow(
        self, method: str, url: str, body: object | None, headers: dict[str, str]
    ) -> _Answer:
        give_up_at = time.monotonic() + 2 * self._timeout
        answer = self._send(method, url, body, headers, give_up_at)
        if answer.status not in _REDIRECTS:
            return answer
        target = join(url, answer.headers.get("Location", ""))
        if origin(target) is None or origin(target) != origin(self.base_url):
            raise _ForeignRedirect(
                "Recall's address redirects to another host, which must not get the API key: "
                "check RECALL_BASE_URL and RECALL_REGION."
            )
        answer = self._send(method, target, body, headers, give_up_at)
        if answer.status in _REDIRECTS:
            raise _ForeignRedirect("Recall's address redirects in a loop: check RECALL_BASE_URL.")
        return answer

    def _send(
        self,
        method: str,
        url: str,
        body: object | None,
        headers: dict[str, str],
        give_up_at: float,
    ) -> _Answer:
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise _NoAnswer("the answer arrives too slowly")
        with self._session.request(
            method,
            url,
            json=body,
            headers=headers,
            auth=self._auth,
            timeout=min(self._timeout, left),
            allow_redirects=False,
            stream=True,
        ) as response:
            content = b""
            # One read is one receive: a slow body cannot hold the thread past the deadline.
            while chunk := response.raw.read1(65536, decode_content=True):
                content += chunk
                if len(content) > _MAX_ANSWER_BYTES:
                    raise _NoAnswer("the answer is too large")
                if time.monotonic() > give_up_at:
                    raise _NoAnswer("the answer arrives too slowly")
            return _Answer(response.status_code, response.headers, content)


class RecallError(Exception):
    """A request to Recall failed. The message says why."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        *,
        passes: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds before the next request, where Recall names them
        self.passes = passes  # False: a person must first fix what the message names


class _Answer:
    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self._content = content

    def json(self) -> dict[str, Any] | None:
        """Return the body; None where it is not a JSON object."""
        try:
            body = json.loads(self._content)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def text(self, hide: tuple[str, ...]) -> str:
        """Return the body as one short line without the secrets to hide."""
        text = self._content.decode("utf-8", "replace")
        for secret in filter(None, hide):
            text = text.replace(secret, "[hidden]")
        text = shown(text[: 16 * _MAX_TEXT], 16 * _MAX_TEXT) or ""
        return text if len(text) <= _MAX_TEXT else f"{cut(text, _MAX_TEXT)}…"

    def retry_after(self) -> float | None:
        """Return the seconds of `Retry-After`, which has either seconds or an HTTP date."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), _MAX_RETRY_AFTER)
        moment = _http_date(text)
        if moment is None:
            return None
        # Take both dates from Recall's clock if possible.
        asked_at = _http_date(self.headers.get("Date", "")) or datetime.now(UTC)
        return min(max((moment - asked_at).total_seconds(), 0.0), _MAX_RETRY_AFTER)


class _Token(AuthBase):
    """Sets the Authorization header. Without an explicit auth, requests would replace it with a
    password from the user's .netrc."""

    def __init__(self, api_key: str) -> None:
        self._header = f"Token {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


class _ForeignRedirect(Exception):
    pass


class _NoAnswer(Exception):
    pass


_ERRORS = (*NETWORK_ERRORS, _NoAnswer)


def _create_outcome(answer: _Answer, *, hide: tuple[str, ...]) -> CreateOutcome:
    """Return the outcome of a create from Recall's response."""
    status, text = answer.status, answer.text(hide)
    if status in (200, 201):
        return _created(answer, text)
    if status == 429:
        wait = answer.retry_after()
        return RateLimited(
            retry_after=_DEFAULT_RETRY_AFTER if wait is None else wait,
            error=f"Recall answered 429: too many requests. {text}",
        )
    if status in _TEMPORARY_REFUSALS:
        why = _TEMPORARY_REFUSALS[status]
        return NotDone(
            retry_after=answer.retry_after(), error=f"Recall answered {status}: it {why}. {text}"
        )
    if status in _UNKNOWN_4XX or not 300 <= status < 500:
        why = _UNKNOWN_4XX.get(status, "dropped the request or lost the answer")
        return OutcomeUnknown(
            retry_after=answer.retry_after(),
            error=f"Recall answered {status}: it {why}. {text}",
            in_flight=status == 409,
        )
    why = _REFUSALS.get(status, "it does not accept the request")
    return Refused(error=f"Recall answered {status}: {why}. {text}")


def _created(answer: _Answer, text: str) -> CreateOutcome:
    body = answer.json() or {}
    recall_id = body.get("id")
    if not isinstance(recall_id, str) or not recall_id or not recall_id.isprintable():
        return OutcomeUnknown(
            retry_after=None, error=f"Recall answered {answer.status} without a usable id. {text}"
        )
    status = body.get("status")
    status = status if isinstance(status, dict) else {}
    code, sub_code = status.get("code"), status.get("sub_code")
    return Created(
        recall_id=recall_id,
        status=code[:255] if isinstance(code, str) and code.isprintable() else None,
        sub_code=shown(sub_code) if isinstance(sub_code, str) else None,
    )


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _error_text(error: Exception) -> str:
    ours = isinstance(error, _NoAnswer | _ForeignRedirect)
    return str(error).rstrip(".") if ours else network_error_text(error)
