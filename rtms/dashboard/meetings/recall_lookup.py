"""Requests to Recall for a page, each within a few seconds or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from flask import abort

from rtms import clock
from rtms.dashboard.meetings.advice import for_pages
from rtms.dashboard.meetings.media import MEDIA, gone
from rtms.http.session import origin
from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recordings import transcripts
from rtms.recordings.download_errors import DownloadError
from rtms.recordings.library import TRANSCRIPT, File, NothingThere, Recordings
from rtms.recordings.utterances import Part
from rtms.services import Services

USUAL_LINK = "download_url"
_T = TypeVar("_T")
# Seconds for all calls for one page: people do not wait for much longer.
_TOTAL_TIMEOUT = 4.0
_TIMEOUT = 2.0  # seconds to connect, and again for each read
_AT_ONCE = 4  # pages for which this process calls Recall at a time
_TURN_TIMEOUT = 1.0  # seconds: a page with a player makes several requests at once
_MAX_WORDS = 100_000  # on a page: eleven hours of speech
_BUSY = (
    "This server is already asking Recall for as many other pages as it can at once. Try again in "
    "a minute."
)
_room = threading.BoundedSemaphore(_AT_ONCE)


class MediumUnavailable(Exception):
    """A medium is not available now. The message says why, and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(for_pages(message))
        self.status = status  # of the response


@contextmanager
def open_client(services: Services) -> Iterator[Recall]:
    """Yield a client for Recall that times out before the browser's request does. If too many are
    in use, the request ends with 503."""
    if not _room.acquire(timeout=_TURN_TIMEOUT):
        abort(503, _BUSY)
    try:
        # A call takes at most three times this long (rtms/recall/client.py).
        with _client(services, _TOTAL_TIMEOUT / 3) as recall:
            yield recall
    finally:
        _room.release()


def link(
    services: Services, recording: Mapping[str, Any], kind: str, name: str = USUAL_LINK
) -> str:
    """Return a fresh pre-signed link to a medium. Anyone who has it can read the medium, so it goes
    into the Location header of a response and nowhere else.

    Args:
        recording: a row of `recordings`.
        kind: Recall's name of the medium.
        name: Recall's name of the link.

    Raises:
        MediumUnavailable: there is none.
    """

    def ask(recordings: Recordings, _: float) -> str:
        file = _file(recording, kind, name)
        return recordings.link(recording["meeting_direct_connect_id"], file)

    found = _ask(services, recording, kind, ask)
    where = origin(found)
    if where is None or not (
        where[0] == "https" or where == origin(services.config.recall_base_url)
    ):
        raise MediumUnavailable(502, "Recall's link leads to an address that is not safe.")
    return found


def transcript(services: Services, recording: Mapping[str, Any]) -> list[Part]:
    """Return a recording's transcript, for a page.

    Raises:
        MediumUnavailable: there is none, or it is too long for a page.
    """
    parts = _ask(services, recording, TRANSCRIPT, _parts_of(recording))
    words = sum(len(part.words) for part in parts)
    if words > _MAX_WORDS:
        raise MediumUnavailable(
            413,
            f"This transcript has {words:,} words, too many for a page. Download it from the "
            "meeting's page, as text or as captions.",
        )
    return parts


def captions(services: Services, recording: Mapping[str, Any], format: transcripts.Format) -> str:
    """Return a recording's transcript as a file.

    Raises:
        MediumUnavailable: there is none.
    """
    parts_of = _parts_of(recording)

    def ask(recordings: Recordings, give_up_at: float) -> str:
        return transcripts.render(parts_of(recordings, give_up_at), format)

    return _ask(services, recording, TRANSCRIPT, ask)


def _parts_of(recording: Mapping[str, Any]) -> Callable[[Recordings, float], list[Part]]:
    def ask(recordings: Recordings, give_up_at: float) -> list[Part]:
        file = _file(recording, TRANSCRIPT, USUAL_LINK)
        return recordings.transcript(recording["meeting_direct_connect_id"], file, give_up_at)

    return ask


def _ask(
    services: Services,
    recording: Mapping[str, Any],
    kind: str,
    ask: Callable[[Recordings, float], _T],
) -> _T:
    """Ask in another thread. A server that sends its answer byte by byte can block that thread, but
    not the request.

    Args:
        ask: is given the value of `time.monotonic()` at which to give up.

    Raises:
        MediumUnavailable: there is no answer in time, or at all.
    """
    why = gone(recording, clock.now())
    if why:
        raise MediumUnavailable(410, why)
    give_up_at = time.monotonic() + _TOTAL_TIMEOUT
    if not _room.acquire(timeout=_TURN_TIMEOUT):
        raise MediumUnavailable(503, _BUSY)
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            with _asking(services, recording, kind) as recordings:
                answer.set_result(ask(recordings, give_up_at))
        except BaseException as error:
            answer.set_exception(error)
        finally:
            _room.release()

    threading.Thread(target=run, name="asking", daemon=True).start()
    try:
        return answer.result(give_up_at - time.monotonic())
    except TimeoutError:
        raise MediumUnavailable(
            502,
            f"Recall or the storage of its media took longer than {_TOTAL_TIMEOUT:g} seconds. Try "
            "again in a minute, or use `flask meetings transcript` or `flask meetings download`, "
            "which wait longer.",
        ) from None


@contextmanager
def _client(services: Services, patience: float) -> Iterator[Recall]:
    config = services.config
    timeout = min(config.recall_timeout_seconds, patience)
    recall = Recall(config.recall_api_key, config.recall_base_url, timeout=timeout, connections=1)
    try:
        yield recall
    finally:
        recall.close()


@contextmanager
def _asking(services: Services, recording: Mapping[str, Any], kind: str) -> Iterator[Recordings]:
    with _client(services, _TIMEOUT) as recall:
        config = replace(services.config, recall_timeout_seconds=_TIMEOUT)
        recordings = Recordings(services.database, recall, config)
        try:
            yield recordings
        except NothingThere as error:
            raise MediumUnavailable(404, _why(recordings, recording, kind, error)) from None
        except (RecallError, DownloadError) as error:
            again = " Try again in a minute." if error.passes else ""
            raise MediumUnavailable(502, f"{error}{again}") from None


def _why(
    recordings: Recordings, recording: Mapping[str, Any], kind: str, error: NothingThere
) -> str:
    """Return why there is no link. Recall's list of the meeting's files may say more."""
    try:
        recordings.files(recording["meeting_direct_connect_id"], [kind])
    except (NothingThere, RecallError) as more:
        return str(more)
    return str(error)


def _file(recording: Mapping[str, Any], kind: str, name: str) -> File:
    return File(
        recording_id=recording["recall_recording_id"],
        kind=kind,
        link_name=name,
        name=MEDIA.get(kind, kind).lower() if kind != TRANSCRIPT else "transcript.json",
        index=1,
    )
