"""What an `rtms_started` means, given what is in the table already."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models import Product, Reason, State
from rtms.intake.start_rules import Known, OtherStream, Verdict, is_to_rejoin, judge
from rtms.zoom.meanings import Started

URLS = "wss://one.example:443"
OTHER_URLS = "wss://two.example:443"


def start(
    event_ts: int = 200,
    server_urls: str = URLS,
    *,
    product: Product = Product.MEETING,
    operator_id: str | None = None,
    is_original_host: bool | None = None,
) -> Started:
    return Started(
        product=product,
        rtms_stream_id="stream",
        meeting_uuid="meeting",
        server_urls=server_urls,
        event_ts=event_ts,
        meeting_id=None,
        account_id=None,
        operator_id=operator_id,
        is_original_host=is_original_host,
    )


def known(
    state: State,
    *,
    event_ts: int = 100,
    server_urls: str = URLS,
    reason: Reason | None = None,
    stopped: bool = False,
    id: int = 1,
) -> Known:
    return Known(
        id=id, event_ts=event_ts, server_urls=server_urls, state=state, reason=reason,
        stopped=stopped,
    )  # fmt: skip


def other(operator_id: str | None, *, event_ts: int = 100, id: int = 9) -> OtherStream:
    return OtherStream(id=id, event_ts=event_ts, operator_id=operator_id)


def decide(
    event: Started,
    *rows: Known,
    last_stop_ts: int | None = None,
    others: Sequence[OtherStream] = (),
    operator_was_wanted: bool = False,
    record_streams: str = "all",
) -> Verdict:
    return judge(
        event,
        rows,
        last_stop_ts=last_stop_ts,
        others=others,
        operator_was_wanted=operator_was_wanted,
        record_streams=record_streams,
    )


def said(verdict: Verdict) -> str | Reason:
    """A verdict in a word: connect, nothing, the row it takes the place of, or why it skips."""
    assert verdict.detail
    if not verdict.new_row:
        assert verdict.skip is None
        assert not verdict.supersedes
        return "nothing"
    if verdict.supersedes:
        assert verdict.skip is None
        return f"instead of {', '.join(map(str, verdict.supersedes))}"
    return verdict.skip or "connect"


PENDING = known(State.PENDING)
CONNECTED = known(State.CONNECTED)
STOPPED = known(State.ENDED, stopped=True)

# Zoom: failover and reconnection. A live stream is one that is pending or connected.
ROWS = {
    "the first start": (start(), [], None, "connect"),
    # The same stream and event_ts: a redelivery, or a second subscription.
    "the same, pending": (start(100), [PENDING], None, "nothing"),
    "the same, connected": (start(100), [CONNECTED], None, "nothing"),
    "the same, stopped": (start(100), [STOPPED], 150, "nothing"),
    "the same, failed": (start(100), [known(State.FAILED)], None, "nothing"),
    "the same, other urls": (start(100, OTHER_URLS), [CONNECTED], None, "nothing"),
    # Still live, the same server_urls, another event_ts: a duplicate.
    "a duplicate, pending": (start(), [PENDING], None, "nothing"),
    "a duplicate, connected": (start(), [CONNECTED], None, "nothing"),
    "a duplicate, urls in another order": (
        start(200, f"{OTHER_URLS}, {URLS}"),
        [known(State.CONNECTED, server_urls=f"{URLS},{OTHER_URLS}")],
        None,
        "nothing",
    ),
    # Still live, other server_urls: the RTMS server failed over.
    "a failover, pending": (start(200, OTHER_URLS), [PENDING], None, "instead of 1"),
    "a failover, connected": (start(200, OTHER_URLS), [CONNECTED], None, "instead of 1"),
    "a failover, one url more": (
        start(200, f"{URLS},{OTHER_URLS}"),
        [CONNECTED],
        None,
        "instead of 1",
    ),
    "a second failover": (
        start(300, "wss://three.example"),
        [known(State.ENDED), known(State.CONNECTED, event_ts=200, server_urls=OTHER_URLS, id=2)],
        None,
        "instead of 2",
    ),
    "a failover back": (
        start(300),
        [known(State.ENDED), known(State.CONNECTED, event_ts=200, server_urls=OTHER_URLS, id=2)],
        None,
        "instead of 2",
    ),
    # Stopped before: the stream was started again.
    "started again": (start(), [STOPPED], 150, "connect"),
    "started again, other urls": (start(200, OTHER_URLS), [STOPPED], 150, "connect"),
    "started again, done": (start(), [known(State.DONE, stopped=True)], 150, "connect"),
    "started again, outcome unknown": (
        start(),
        [known(State.PENDING, stopped=True)],
        150,
        "connect",
    ),
    "started again, was skipped": (
        start(),
        [known(State.SKIPPED, reason=Reason.STOPPED_FIRST, stopped=True)],
        150,
        "connect",
    ),
    # A stop with a later event_ts was seen first: over already.
    "overtaken by its stop": (start(), [], 201, Reason.STOPPED_FIRST),
    "overtaken, started again": (start(), [STOPPED], 250, Reason.STOPPED_FIRST),
    "a stop of the same moment": (start(), [], 200, "connect"),
    "an older stop": (start(), [], 199, "connect"),
    # An older start that a newer one overtook.
    "older than a live start": (start(50, OTHER_URLS), [CONNECTED], None, "nothing"),
    "older than a stopped start": (start(50), [STOPPED], 150, "nothing"),
    "older than a failed start": (start(50), [known(State.FAILED)], None, "nothing"),
    # What failed may yet succeed.
    "refused before": (start(), [known(State.FAILED, reason=Reason.REFUSED)], None, "connect"),
    "missed before": (
        start(),
        [known(State.FAILED, reason=Reason.WINDOW_EXPIRED)],
        None,
        "connect",
    ),
    "failed before, other urls": (start(200, OTHER_URLS), [known(State.FAILED)], None, "connect"),
    "failed and live": (
        start(300),
        [known(State.FAILED), known(State.CONNECTED, event_ts=200, id=2)],
        None,
        "nothing",
    ),
}


@pytest.mark.parametrize(("event", "rows", "last_stop_ts", "verdict"), ROWS.values(), ids=ROWS)
def test_what_a_start_means(
    event: Started, rows: list[Known], last_stop_ts: int | None, verdict: str | Reason
) -> None:
    assert said(decide(event, *rows, last_stop_ts=last_stop_ts)) == verdict
    assert said(decide(event, *reversed(rows), last_stop_ts=last_stop_ts)) == verdict


@pytest.mark.parametrize("is_original_host", [True, False, None])
@pytest.mark.parametrize("meeting_is_live", [False, True])
@pytest.mark.parametrize("record_streams", ["all", "first", "host"])
def test_which_of_a_meetings_streams_are_wanted(
    record_streams: str, meeting_is_live: bool, is_original_host: bool | None
) -> None:
    wanted = {
        "all": True,
        "first": not meeting_is_live,
        "host": is_original_host in (True, None),  # a delivery that does not say counts as host
    }
    verdict = decide(
        start(is_original_host=is_original_host),
        others=[other("somebody")] if meeting_is_live else [],
        record_streams=record_streams,
    )
    assert said(verdict) == ("connect" if wanted[record_streams] else Reason.NOT_WANTED)
    if verdict.skip:
        assert f"RECORD_STREAMS={record_streams}" in verdict.detail


def test_a_live_stream_fails_over_whatever_other_streams_do() -> None:
    for setting in ("all", "first", "host"):
        verdict = decide(
            start(200, OTHER_URLS), CONNECTED, others=[other("x")], record_streams=setting
        )
        assert said(verdict) == "instead of 1"


NOT_WANTED = known(State.SKIPPED, reason=Reason.NOT_WANTED)


@pytest.mark.parametrize(
    ("event", "meeting_is_live", "verdict"),
    [
        (start(), True, "nothing"),
        (start(200, f" {URLS} "), True, "nothing"),
        (start(200, OTHER_URLS), True, Reason.NOT_WANTED),
        (start(), False, "connect"),  # the stream that was first is over
    ],
    ids=["again", "again, spelt otherwise", "failed over", "now the only one"],
)
def test_a_stream_that_was_not_wanted(
    event: Started, meeting_is_live: bool, verdict: str | Reason
) -> None:
    others = [other("somebody")] if meeting_is_live else []
    found = decide(event, NOT_WANTED, others=others, record_streams="first")
    assert said(found) == verdict


MINE = start(operator_id="me")
SAME_USER: dict[str, tuple[Started, list[OtherStream], str, str | Reason]] = {
    "the next stream of a user": (MINE, [other("me")], "all", "instead of 9"),
    "the next stream of a user, first": (MINE, [other("me")], "first", "instead of 9"),
    "the next stream of a user, host": (MINE, [other("me")], "host", "instead of 9"),
    "two of one moment": (MINE, [other("me", event_ts=200)], "all", "instead of 9"),
    "another user's": (MINE, [other("you")], "all", "connect"),
    "another user's, first": (MINE, [other("you")], "first", Reason.NOT_WANTED),
    "a user's whom nobody names": (start(), [other(None)], "all", "connect"),
    "a user's whom nobody names, first": (start(), [other(None)], "first", Reason.NOT_WANTED),
    "mine and yours": (MINE, [other("me", id=8), other("you")], "all", "instead of 8"),
    "mine and yours, first": (MINE, [other("me"), other("you")], "first", Reason.NOT_WANTED),
    "overtaken by the next": (MINE, [other("me", event_ts=201)], "all", Reason.STOPPED_FIRST),
    "a session is never connected": (
        start(product=Product.SESSION, operator_id="me"),
        [other("me")],
        "all",
        Reason.UNSUPPORTED,
    ),
}


@pytest.mark.parametrize(
    ("event", "others", "setting", "verdict"), SAME_USER.values(), ids=SAME_USER
)
def test_a_users_next_stream_takes_the_place_of_the_older_one(
    event: Started, others: list[OtherStream], setting: str, verdict: str | Reason
) -> None:
    assert said(decide(event, others=others, record_streams=setting)) == verdict


def test_a_failover_takes_the_place_of_every_live_stream_of_its_user() -> None:
    event = start(200, OTHER_URLS, operator_id="me")
    assert said(decide(event, CONNECTED, others=[other("me")])) == "instead of 1, 9"


def test_a_failover_does_not_take_the_place_of_its_users_later_stream() -> None:
    event = start(200, OTHER_URLS, operator_id="me")
    found = decide(event, CONNECTED, others=[other("me", event_ts=201)])
    assert said(found) == Reason.STOPPED_FIRST


def test_a_user_who_was_recorded_stays_wanted_after_the_host_changed() -> None:
    event = start(operator_id="me", is_original_host=False)
    assert said(decide(event, record_streams="host")) == Reason.NOT_WANTED
    assert said(decide(event, record_streams="host", operator_was_wanted=True)) == "connect"


REJOINS = {
    "live, other servers": ([CONNECTED], OTHER_URLS, True),
    "pending, other servers": ([PENDING], OTHER_URLS, True),
    "live, the same servers": ([CONNECTED], URLS, False),
    "given up, other servers": (
        [known(State.FAILED, reason=Reason.WINDOW_EXPIRED)],
        OTHER_URLS,
        True,
    ),
    "given up, the same servers": ([known(State.FAILED, reason=Reason.REFUSED)], URLS, False),
    "given up and stopped": (
        [known(State.FAILED, reason=Reason.WINDOW_EXPIRED, stopped=True)],
        OTHER_URLS,
        False,
    ),
    "stopped": ([STOPPED], OTHER_URLS, False),
    "done": ([known(State.DONE)], OTHER_URLS, False),
    "not wanted": ([known(State.SKIPPED, reason=Reason.NOT_WANTED)], OTHER_URLS, False),
    "never heard of: it overtook its start": ([], URLS, True),
}


@pytest.mark.parametrize(("rows", "urls", "rejoins"), REJOINS.values(), ids=REJOINS)
def test_an_interruption_that_names_servers(rows: list[Known], urls: str, rejoins: bool) -> None:
    assert is_to_rejoin(start(200, urls), rows) is rejoins


@pytest.mark.parametrize(
    ("product", "words"),
    [
        (Product.SESSION, "Video SDK"),
        (Product.CONTACT_CENTER, "Contact Center"),
        (Product.PHONE, "Zoom Phone"),
    ],
)
def test_what_recall_does_not_connect_is_skipped_once_and_says_why(
    product: Product, words: str
) -> None:
    event = start(product=product)
    verdict = decide(event)
    assert said(verdict) == Reason.UNSUPPORTED
    assert words in verdict.detail
    skipped = known(State.SKIPPED, reason=Reason.UNSUPPORTED)
    assert said(decide(event, skipped)) == "nothing"


def test_a_webinar_is_connected_like_a_meeting() -> None:
    assert said(decide(start(product=Product.WEBINAR))) == "connect"


def test_a_verdict_names_the_connection_it_is_about() -> None:
    assert "meeting 1 " in decide(start(), CONNECTED).detail
    assert "meeting 1" in decide(start(200, OTHER_URLS), CONNECTED).detail
