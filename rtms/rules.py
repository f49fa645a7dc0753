"""What a repeated, late or unwanted `rtms_started` means: the rules, and nothing but the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models import LIVE_STATES, Product, Reason
from rtms.events import Started


@dataclass(frozen=True, kw_only=True)
class Known:
    """A connection of the stream that is in the table already."""

    id: int
    event_ts: int
    server_urls: str
    state: str
    reason: str | None
    stopped: bool

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES and not self.stopped


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do about an `rtms_started`: nothing, or a new row that is to be connected or, with
    a reason, skipped."""

    detail: str
    new_row: bool = False
    skip: Reason | None = None
    supersedes: int | None = None


def judge(
    start: Started,
    known: Sequence[Known],
    *,
    last_stop_ts: int | None,
    meeting_is_live: bool,
    record_streams: str,
    later_start_known: bool = False,
) -> Verdict:
    """Decide what an `rtms_started` means (Zoom: failover and reconnection).

    Args:
        start: the event.
        known: every connection of its stream that is in the table.
        last_stop_ts: `event_ts` of the stream's latest `rtms_stopped`, if one was seen.
        meeting_is_live: whether another stream of the same meeting is live.
        record_streams: the setting of that name.
        later_start_known: whether a later start of the stream was delivered. One that repeated what
            was live left no row.
    """
    if any(row.event_ts == start.event_ts for row in known):
        return Verdict(detail="this start is known already")
    if any(row.event_ts > start.event_ts for row in known):
        return Verdict(detail="a later start of this stream is known already")
    if last_stop_ts is not None and last_stop_ts > start.event_ts:
        return _skipped(Reason.STOPPED_FIRST, "its stop was delivered first: it is over already")
    live = next((row for row in known if row.is_live), None)
    if live and _urls(live.server_urls) == _urls(start.server_urls):
        return Verdict(detail=f"meeting {live.id} has this stream already")
    if live and later_start_known:
        return Verdict(detail="a later start of this stream is known already")
    if live:
        return Verdict(
            detail=f"Zoom's RTMS server failed over: this takes the place of meeting {live.id}",
            new_row=True,
            supersedes=live.id,
        )
    verdict = _wanted(start, meeting_is_live, record_streams)
    if verdict.skip and any(
        row.reason == verdict.skip
        and not row.stopped
        and _urls(row.server_urls) == _urls(start.server_urls)
        for row in known
    ):
        return Verdict(detail="this stream was skipped already")
    return verdict


def _wanted(start: Started, meeting_is_live: bool, record_streams: str) -> Verdict:
    if start.product == Product.SESSION:
        return _skipped(
            Reason.UNSUPPORTED,
            "a Video SDK session is signed with the Video SDK's key and secret, so this app's "
            "credentials cannot connect it",
        )
    if record_streams == "host" and start.is_original_host is False:
        return _skipped(
            Reason.NOT_WANTED, "RECORD_STREAMS=host, and this is not the original host's stream"
        )
    if record_streams == "first" and meeting_is_live:
        return _skipped(
            Reason.NOT_WANTED, "RECORD_STREAMS=first, and another stream of this meeting is live"
        )
    return Verdict(detail="to be connected", new_row=True)


def _skipped(reason: Reason, detail: str) -> Verdict:
    return Verdict(detail=detail, new_row=True, skip=reason)


def _urls(server_urls: str) -> frozenset[str]:
    return frozenset(url.strip() for url in server_urls.split(","))
