"""Which `rtms_started` are connected, as pure functions: the rules for a repeat, a failover, a stop
that arrived first, and RECORD_STREAMS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models import LIVE_STATES, Product, Reason, State
from rtms.zoom.meanings import Started


@dataclass(frozen=True, kw_only=True)
class Known:
    """A row of the same stream."""

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
class OtherStream:
    """A live row of another stream of the same meeting."""

    id: int
    event_ts: int
    operator_id: str | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do about an `rtms_started`: nothing, or insert a row that is connected or skipped."""

    detail: str
    new_row: bool = False
    skip: Reason | None = None
    supersedes: tuple[int, ...] = ()


def judge(
    start: Started,
    known: Sequence[Known],
    *,
    record_streams: str,
    others: Sequence[OtherStream] = (),
    operator_was_wanted: bool = False,
    last_stop_ts: int | None = None,
    later_start_known: bool = False,
) -> Verdict:
    """Decide what an `rtms_started` means (Zoom: failover and reconnection).

    Args:
        start: the event.
        known: every row of its stream.
        record_streams: RECORD_STREAMS.
        others: the live rows of other streams of its meeting.
        operator_was_wanted: whether the same user had a wanted stream in this meeting.
        last_stop_ts: `event_ts` of the stream's latest `rtms_stopped`, if any.
        later_start_known: whether a later start of the stream is recorded. A start that repeated
            the live stream left no row.
    """
    if any(row.event_ts == start.event_ts for row in known):
        return Verdict(detail="this start is already known")
    if any(row.event_ts > start.event_ts for row in known):
        return Verdict(detail="a later start of this stream is already known")
    if last_stop_ts is not None and last_stop_ts > start.event_ts:
        return _skipped(Reason.STOPPED_FIRST, "its stop arrived first: the stream is already over")
    live = next((row for row in known if row.is_live), None)
    if live and _urls(live.server_urls) == _urls(start.server_urls):
        return Verdict(detail=f"meeting {live.id} already has this stream")
    if live and later_start_known:
        return Verdict(detail="a later start of this stream is already known")
    own = [each for each in others if start.operator_id and each.operator_id == start.operator_id]
    if live and not any(each.event_ts > start.event_ts for each in own):
        return Verdict(
            detail=f"Zoom's RTMS server failed over: this replaces meeting {live.id}",
            new_row=True,
            supersedes=(live.id, *(each.id for each in own)),
        )
    verdict = _wanted(start, others, own, operator_was_wanted, record_streams)
    if verdict.skip and any(
        row.reason == verdict.skip
        and not row.stopped
        and _urls(row.server_urls) == _urls(start.server_urls)
        for row in known
    ):
        return Verdict(detail="this stream was already skipped")
    return verdict


def is_to_rejoin(rejoin: Started, known: Sequence[Known]) -> bool:
    """Decide whether an `rtms_interrupted` with server URLs moves its stream to those servers, as
    an `rtms_started` would. It does not if the stream is already there, is over, or was skipped.

    Args:
        rejoin: the event, as a start.
        known: every row of its stream.
    """
    last = max(known, key=lambda row: row.event_ts, default=None)
    if last is None:  # it arrived before its start
        return True
    waits = last.is_live or (last.state == State.FAILED and not last.stopped)
    return waits and _urls(last.server_urls) != _urls(rejoin.server_urls)


_UNSUPPORTED = {
    Product.SESSION: "a Video SDK session is signed with the Video SDK's key and secret, so this "
    "app's credentials cannot connect it",
    Product.CONTACT_CENTER: "Recall connects meetings and webinars, and this is a Zoom Contact "
    "Center engagement. To stop receiving these, unsubscribe the Zoom app from their events",
    Product.PHONE: "Recall connects meetings and webinars, and this is a Zoom Phone call. "
    "To stop receiving these, unsubscribe the Zoom app from their events",
}


def _wanted(
    start: Started,
    others: Sequence[OtherStream],
    own: Sequence[OtherStream],
    operator_was_wanted: bool,
    record_streams: str,
) -> Verdict:
    if start.product in _UNSUPPORTED:
        return _skipped(Reason.UNSUPPORTED, _UNSUPPORTED[start.product])
    later = next((each for each in own if each.event_ts > start.event_ts), None)
    if later:
        return _skipped(
            Reason.STOPPED_FIRST,
            f"meeting {later.id} is a later live stream of the same user: this one is over",
        )
    if record_streams == "host" and start.is_original_host is False and not operator_was_wanted:
        return _skipped(
            Reason.NOT_WANTED, "RECORD_STREAMS=host, and this is not the original host's stream"
        )
    if record_streams == "first" and len(others) > len(own):
        return _skipped(
            Reason.NOT_WANTED, "RECORD_STREAMS=first, and another stream of this meeting is live"
        )
    if own:
        older = " and ".join(str(each.id) for each in own)
        return Verdict(
            detail=f"the same user's next stream: this replaces meeting {older}",
            new_row=True,
            supersedes=tuple(each.id for each in own),
        )
    return Verdict(detail="to be connected", new_row=True)


def _skipped(reason: Reason, detail: str) -> Verdict:
    return Verdict(detail=detail, new_row=True, skip=reason)


def _urls(server_urls: str) -> frozenset[str]:
    return frozenset(url.strip() for url in server_urls.split(","))
