"""The client for Recall.ai's API. Every response, or lack of one, becomes a typed outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

from rtms.http.answer import DEFAULT_RETRY_AFTER, HttpAnswer, NoAnswer
from rtms.http.session import CannotBeSent, Session, join, origin
from rtms.recall.create_outcomes import CreateOutcome, OutcomeUnknown, Refused, create_outcome
from rtms.recall.errors import ERRORS, ForeignRedirect, RecallError, error_text

CREATE_PATH = "/api/v1/meeting_direct_connect"  # without a trailing slash, as in the quickstart
_RECORDING_PATH = "/api/v1/recording"
_AUDIO_PATH = "/api/v1/audio_mixed"
_MAX_PAGES = 10  # of a recording's mixed audio, which has a file for each format
_MAX_ANSWER_BYTES = 1024 * 1024
_REDIRECTS = (301, 302, 307, 308)


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
        except ForeignRedirect as error:
            return Refused(error=str(error))
        except CannotBeSent as error:  # another try would fail in the same way
            return Refused(error=f"Recall was not asked: {error}.")
        except ERRORS as error:
            return OutcomeUnknown(error=f"No answer from Recall: {error_text(error)}.")
        return create_outcome(answer, hide=(self._api_key, zoom_rtms.get("signature", "")))

    def retrieve_direct_connect(self, recall_id: str | None) -> dict[str, Any]:
        """Return a direct connect as Recall has it now: `id`, `status`, `recordings`, `metadata`.

        Raises:
            RecallError: Recall did not return it; the message says what happened.
        """
        if not recall_id:
            raise RecallError("The meeting has no Recall id: it was never connected.")
        return self._get(f"{self.base_url}{CREATE_PATH}/{quote(recall_id, safe='')}")

    def delete_recording(self, recording_id: str) -> None:
        """Delete a recording with its media, unless it is gone already (Recall: delete recording).

        Raises:
            RecallError: Recall did not delete it; the message says what happened.
        """
        path = f"{_RECORDING_PATH}/{quote(recording_id, safe='')}/"
        answer = self._answer_to("DELETE", self.base_url + path)
        if answer.status not in (200, 202, 204, 404):
            raise self._error(answer)

    def is_taking_requests(self) -> bool:
        """Return whether Recall answers a request that changes nothing, without an error of its own
        or a rate limit."""
        try:
            answer = self._call("GET", f"{self.base_url}{CREATE_PATH}?page_size=1", None, {})
        except (CannotBeSent, ForeignRedirect, *ERRORS):
            return False
        return answer.status < 500 and answer.status != 429

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
        answer = self._answer_to("GET", url)
        if answer.status != 200:
            raise self._error(answer)
        if (body := answer.json()) is not None:
            return body
        # Not quoted: it may contain pre-signed links.
        raise RecallError("Recall answered 200 with a body that is not a JSON object.")

    def _answer_to(self, method: str, url: str) -> HttpAnswer:
        try:
            return self._call(method, url, None, {})
        except CannotBeSent as error:
            raise RecallError(f"Recall was not asked: {error}.", passes=False) from None
        except (*ERRORS, ForeignRedirect) as error:
            raise RecallError(f"No answer from Recall: {error_text(error)}.") from None

    def _error(self, answer: HttpAnswer) -> RecallError:
        wait = answer.retry_after()
        if answer.status == 429 and wait is None:
            wait = DEFAULT_RETRY_AFTER
        text = answer.text((self._api_key,))
        return RecallError(f"Recall answered {answer.status}: {text}", answer.status, wait)

    def _call(
        self, method: str, url: str, body: object | None, headers: dict[str, str]
    ) -> HttpAnswer:
        status: int | None = None
        try:
            answer = self._follow(method, url, body, headers)
            status = answer.status
            return answer
        except ForeignRedirect:
            status = _REDIRECTS[0]
            raise
        finally:
            self._on_answer("create" if method == "POST" else "retrieve", status)

    def _follow(
        self, method: str, url: str, body: object | None, headers: dict[str, str]
    ) -> HttpAnswer:
        give_up_at = time.monotonic() + 2 * self._timeout
        answer = self._send(method, url, body, headers, give_up_at)
        if answer.status not in _REDIRECTS:
            return answer
        target = join(url, answer.headers.get("Location", ""))
        if origin(target) is None or origin(target) != origin(self.base_url):
            raise ForeignRedirect(
                "Recall's address redirects to another host, which must not get the API key: "
                "check RECALL_BASE_URL and RECALL_REGION."
            )
        answer = self._send(method, target, body, headers, give_up_at)
        if answer.status in _REDIRECTS:
            raise ForeignRedirect("Recall's address redirects in a loop: check RECALL_BASE_URL.")
        return answer

    def _send(
        self,
        method: str,
        url: str,
        body: object | None,
        headers: dict[str, str],
        give_up_at: float,
    ) -> HttpAnswer:
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise NoAnswer("the answer arrives too slowly")
        with self._session.request(
            method,
            url,
            json=body,
            headers=headers,
            auth=self._sign,
            timeout=min(self._timeout, left),
            allow_redirects=False,
            stream=True,
        ) as response:
            return HttpAnswer.read(response, give_up_at=give_up_at, most=_MAX_ANSWER_BYTES)

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the Authorization header. Without an explicit auth, requests would replace it with a
        password from the user's .netrc."""
        request.headers["Authorization"] = f"Token {self._api_key}"
        return request
