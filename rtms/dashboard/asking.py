"""Asking Recall while somebody waits for a page: soon, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rtms import clock
from rtms.dashboard.advice import for_pages
from rtms.dashboard.shown import MEDIA, gone
from rtms.downloads import DownloadError
from rtms.http import origin
from rtms.recall import Recall, RecallError
from rtms.recordings import TRANSCRIPT, File, NothingThere, Recordings
from rtms.services import Services
from rtms.speech import Part

USUAL_LINK = "download_url"
# Seconds to connect, and again for each read: a request has five in all (rtms/patience.py).
_PATIENCE = 2.0


class NotToBeHad(Exception):
    """A medium cannot be had now. The message says why, and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(for_pages(message))
        self.status = status  # HTTP's


@contextmanager
def a_client(its: Services) -> Iterator[Recall]:
    """A client for Recall that gives up before the person's request is cut off."""
    config = its.config
    timeout = min(config.recall_timeout_seconds, _PATIENCE)
    recall = Recall(config.recall_api_key, config.recall_base_url, timeout=timeout, connections=1)
    try:
        yield recall
    finally:
        recall.close()


def link(its: Services, recording: Mapping[str, Any], kind: str, name: str = USUAL_LINK) -> str:
    """A fresh pre-signed link to a medium. Whoever has it can read the medium: it goes into the
    Location header of an answer, and nowhere else.

    Args:
        recording: a row of `recordings`.
        kind: of the medium, as Recall calls it.
        name: which of the medium's links.

    Raises:
        NotToBeHad: there is none; it says why.
    """
    with _asking(its, recording, kind) as recordings:
        file = _file(recording, kind, name)
        found = recordings.link(recording["meeting_direct_connect_id"], file)
    where = origin(found)
    if where is None or not (where[0] == "https" or where == origin(its.config.recall_base_url)):
        raise NotToBeHad(502, "Recall's link leads to an address that is not safe to follow.")
    return found


def transcript(its: Services, recording: Mapping[str, Any]) -> list[Part]:
    """A recording's transcript.

    Raises:
        NotToBeHad: there is none; it says why.
    """
    with _asking(its, recording, TRANSCRIPT) as recordings:
        file = _file(recording, TRANSCRIPT, USUAL_LINK)
        return recordings.transcript(recording["meeting_direct_connect_id"], file)


@contextmanager
def _asking(its: Services, recording: Mapping[str, Any], kind: str) -> Iterator[Recordings]:
    why = gone(recording, clock.now())
    if why:
        raise NotToBeHad(410, why)
    with a_client(its) as recall:
        config = replace(its.config, recall_timeout_seconds=_PATIENCE)
        recordings = Recordings(its.database, recall, config)
        try:
            yield recordings
        except NothingThere as error:
            raise NotToBeHad(404, _why(recordings, recording, kind, error)) from None
        except (RecallError, DownloadError) as error:
            raise NotToBeHad(502, f"{error} Try again in a minute.") from None


def _why(
    recordings: Recordings, recording: Mapping[str, Any], kind: str, error: NothingThere
) -> str:
    """What Recall has of the meeting says more than that it has no link."""
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
